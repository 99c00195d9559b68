//! In-context prompts: demonstrations, then the query.

use crate::config::{Demonstration, Order, Query};
use crate::data::dataset::Pair;

/// The prompt for `input` with `demonstrations`, nearest first.
pub fn render(
    (demonstration, query): (&Demonstration, &Query),
    order: Order,
    demonstrations: &[&Pair],
    input: &str,
) -> String {
    let mut prompt = String::new();
    for pair in ordered(order, demonstrations) {
        prompt.push_str(&demonstrate(demonstration, pair));
    }
    prompt.push_str(&fill(&query.0, input, None));
    prompt
}

/// `pair` as a demonstration.
pub(crate) fn demonstrate(template: &Demonstration, pair: &Pair) -> String {
    fill(&template.0, &pair.input, Some(&pair.output))
}

/// `demonstrations`, nearest first, as they stand in a prompt.
pub(crate) fn ordered<'a>(order: Order, demonstrations: &[&'a Pair]) -> Vec<&'a Pair> {
    let mut ordered = demonstrations.to_vec();
    if order == Order::MostSimilarLast {
        ordered.reverse();
    }
    ordered
}

/// The query of a conversation's turn: `input` in its place, without the blanks around it, which belong to the
/// text that a plain prompt is.
pub(crate) fn ask(query: &Query, input: &str) -> String {
    fill(&query.0, input, None).trim().to_string()
}

/// Fills the slots of `template` in one pass, so that a slot's name inside a value stays text.
fn fill(template: &str, input: &str, output: Option<&str>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(brace) = rest.find('{') {
        filled.push_str(&rest[..brace]);
        rest = &rest[brace..];
        if let Some(after) = rest.strip_prefix("{input}") {
            filled.push_str(input);
            rest = after;
        } else if let (Some(after), Some(output)) = (rest.strip_prefix("{output}"), output) {
            filled.push_str(output);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::{fill, render};
    use crate::config::{Demonstration, Order, Query};
    use crate::data::dataset::Pair;

    #[test]
    fn values_that_look_like_slots_stay_as_they_are() {
        let filled = fill("# {input} {x}\n{output}\n", "a {output} b", Some("f'{input}'"));
        assert_eq!(filled, "# a {output} b {x}\nf'{input}'\n");
    }

    #[test]
    fn the_nearest_demonstration_stands_where_the_order_says() {
        let (demonstration, query) = (Demonstration::default(), Query::default());
        let pair = |name: &str| Pair { input: name.into(), output: name.to_uppercase() };
        let (near, far) = (pair("near"), pair("far"));
        let render = |order| render((&demonstration, &query), order, &[&near, &far], "query");
        assert_eq!(render(Order::MostSimilarLast), "# far\nFAR\n\n# near\nNEAR\n\n# query\n");
        assert_eq!(render(Order::MostSimilarFirst), "# near\nNEAR\n\n# far\nFAR\n\n# query\n");
    }
}
