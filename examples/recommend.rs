//! Recommends where a GPU virtual machine should live, and prints why and the `<cputune>` to paste.
//!
//! `cargo run --example recommend` answers for an embedded, synthetic HGX H200 host;
//! `cargo run --example recommend -- HOST VCPUS MEMORY [GPUS [WORKLOAD]]` for a host of yours: a
//! description, XML of lstopo or of virsh capabilities. The program `pinwise` does the rest.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;

use pinwise::explain::explain_refusal;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, Question, RequestSpec, Usage, Workload, emit, explain, recommend};
use pinwise_discover::Assembly;

const EMBEDDED: &str = include_str!("../fixtures/hosts/hgx-h200-snc2.json");
const USAGE: &str = "usage: recommend [HOST VCPUS MEMORY [GPUS [WORKLOAD]]], such as: recommend \
                     host.json 16 64GiB 2 gpu-training";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, text, vcpus, memory, rest) = match arguments[..] {
        [] => ("the embedded fixture", EMBEDDED.to_owned(), "32", "256GiB", &["2"][..]),
        [file, vcpus, memory, ref rest @ ..] if rest.len() <= 2 => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
            (file, text, vcpus, memory, rest)
        }
        _ => return Err(USAGE.into()),
    };
    let mut sources = Assembly::new();
    sources.add_text(name, &text)?;
    let host = sources.finish()?.host.build()?;
    let count = rest.first().map_or(Ok(0), |count| read("GPUS", count))?;
    let request = RequestSpec {
        gpus: GpuRequest::Count { count, model: None },
        workload: rest.get(1).map_or(Ok(Workload::default()), |name| read("WORKLOAD", name))?,
        ..RequestSpec::new("vm1", read("VCPUS", vcpus)?, read::<Bytes>("MEMORY", memory)?)
    };
    let request = request.build()?;
    let usage = Usage::empty(&host);
    let question = Question::new(&host, &usage, &request);
    let answer =
        recommend(question).map_err(|refused| explain_refusal(&host, &request, &refused, None))?;
    let xml = emit::libvirt::fragments(&answer.best().placement)?;
    let cputune = xml.find("<cputune>").zip(xml.find("</cputune>"));
    let text = explain(question, &answer);
    write(&text)?;
    write(cputune.map_or("", |(from, to)| &xml[from..to + "</cputune>".len()]))
}

/// Reads an argument. An error names it.
fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{name} {text:?}: {error}"))
}

/// Prints a text. A reader that has seen enough (`| head`) is not a failure.
fn write(text: &str) -> Result<(), Box<dyn Error>> {
    use std::io::{ErrorKind, Write as _};
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
