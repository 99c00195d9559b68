//! `ment`: parse, dispatch, exit code.

use anyhow::Result;
use clap::Parser;
use ment::cli::{Cli, Command};
use ment::error::{InputError, Interrupted};
use std::process::ExitCode;

fn main() -> ExitCode {
    sigpipe::reset(); // `ment report … | head` ends quietly
    ment::log::begin();
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            let input = error.chain().any(|cause| cause.is::<InputError>());
            ExitCode::from(if input { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => ment::command::run(args),
        Command::Check(args) => ment::command::check(&args),
        Command::Report { run, other: Some(other), out, .. } => {
            ment::command::compare([&run, &other], out.as_deref())
        }
        Command::Report { run, tables, .. } => ment::command::report(&run, &tables),
        Command::Verify(args) => ment::command::verify(args),
        Command::Show { run, trial } => ment::command::show(&run, trial.as_deref()),
        Command::Predict(args) => ment::command::predict(&args),
        Command::Generate(args) => ment::command::generate(&args),
        Command::Patch(args) => ment::command::patch(&args),
        Command::Apply(args) => ment::command::apply(&args),
        Command::Study(args) => ment::command::study(&args),
        Command::Bench(args) => ment::command::bench(args),
    }
}
