//! `ment`: parse, dispatch, exit code.

use anyhow::Result;
use clap::Parser;
use ment::cli::{Cli, Command};
use ment::error::{InputError, Interrupted};
use std::process::ExitCode;

fn main() -> ExitCode {
    sigpipe::reset(); // `ment report … | head` ends quietly
    ment::system::log::begin();
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
        Command::Init { dir } => ment::cli::command::init(&dir),
        Command::Models { what } => ment::cli::command::models(what.as_ref()),
        Command::Run(args) => ment::cli::command::run(args),
        Command::Check(args) => ment::cli::command::check(&args),
        Command::Report { run, other: Some(other), out, .. } => {
            ment::cli::command::compare([&run, &other], out.as_deref())
        }
        Command::Report { run, tables, .. } => ment::cli::command::report(&run, &tables),
        Command::Verify(args) => ment::cli::command::verify(args),
        Command::Show { run, trial } => ment::cli::command::show(&run, trial.as_deref()),
        Command::Predict(args) => ment::cli::command::predict(&args),
        Command::Generate(args) => ment::cli::command::generate(&args),
        Command::Patch(args) => ment::cli::command::patch(&args),
        Command::Repair(args) => ment::cli::command::repair(&args),
        Command::Apply(args) => ment::cli::command::apply(&args),
        Command::Study(args) => ment::cli::command::study(&args),
        Command::Bench(args) => ment::cli::command::bench(args),
    }
}
