//! The librdkafka programs of the interop harness: a driver that the suite speaks to, and the producer and the
//! checker of the text workload.

mod driver;
mod member;
mod records;
mod text_check;
mod text_produce;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let options = Options(args.collect());
    let outcome = match command.as_str() {
        "driver" => driver::run(&options).map(|()| true),
        "text-produce" => text_produce::run(&options),
        "text-check" => text_check::run(&options),
        other => Err(anyhow::anyhow!(
            "unknown command {other:?}: driver, text-produce or text-check"
        )),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{command}: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The command line as `--name value` pairs; a name may stand more than once.
pub struct Options(Vec<String>);

impl Options {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .windows(2)
            .filter(|pair| pair[0] == format!("--{name}"))
            .map(|pair| pair[1].as_str())
            .collect()
    }

    pub fn get(&self, name: &str) -> anyhow::Result<&str> {
        self.all(name)
            .last()
            .copied()
            .ok_or_else(|| anyhow::anyhow!("--{name} is missing"))
    }

    pub fn number(&self, name: &str, default: usize) -> anyhow::Result<usize> {
        match self.all(name).last() {
            Some(text) => Ok(text.parse()?),
            None => Ok(default),
        }
    }
}
