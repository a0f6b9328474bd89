//! The stand-in as a program: `llm-standin --listen 127.0.0.1:4010`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => "127.0.0.1:4010".to_owned(),
        (Some("--listen"), Some(address)) => address,
        _ => {
            eprintln!("usage: llm-standin [--listen ADDRESS:PORT]");
            return ExitCode::from(2);
        }
    };
    let Ok(parsed) = address.parse() else {
        eprintln!("--listen needs ADDRESS:PORT, such as 127.0.0.1:4010, not {address}");
        return ExitCode::from(2);
    };
    match llm_standin::StandIn::listen(parsed) {
        Ok(standin) => {
            println!("{}", standin.url);
            standin.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}
