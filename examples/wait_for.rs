//! Waiting for a prompt or a pattern, with a timeout; driving a debugger with it.
//!
//! `cargo run --example wait_for -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error, Pattern};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: wait_for RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();
    stream.attach(session.session_id).await?;

    stream.send_input("for i in 1 2 3; do echo step $i; done; echo \"Build \"complete\n").await?;
    let output = stream.wait_for("Build complete", PATIENCE).await?;
    println!("steps seen: {}", ["step 1", "step 2", "step 3"].iter().all(|step| output.to_string().contains(step)));

    // A regular expression; its match is told apart from what came before it.
    stream.send_input("echo version: 1.$((2 + 3)).0\n").await?;
    let version = Pattern::regex(r"version: (\d+\.\d+\.\d+)").map_err(|err| Error::Invalid(err.to_string()))?;
    println!("{}", String::from_utf8_lossy(stream.wait_for(version, PATIENCE).await?.matched()));

    // A debugger, one answer at a time.
    stream.send_input("printf 'answer = 6 * 7\\nprint(answer)\\n' > /tmp/$$.py; python3 -m pdb /tmp/$$.py\n").await?;
    for (command, answer) in [("n", "print(answer)"), ("p answer + 1", "43"), ("c", "finished")] {
        stream.wait_for("(Pdb) ", PATIENCE).await?;
        stream.send_input(format!("{command}\n")).await?;
        stream.wait_for(answer, PATIENCE).await?;
    }
    stream.wait_for("(Pdb) ", PATIENCE).await?;
    stream.send_input("q\necho \"de\"bugged\n").await?;
    stream.wait_for("debugged", PATIENCE).await?;
    println!("debugged");

    // What does not come is an error that says so.
    match stream.wait_for("never printed", Duration::from_millis(100)).await {
        Err(Error::Timeout(message)) => println!("Timeout: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    stream.close().await;
    Ok(())
}
