//! Files of a machine: listed, written, read, searched, streamed and removed.
//!
//! `cargo run --example files -- RELAY MACHINE`

use fleetmux::client::{Client, Error, ReadOptions, SearchOptions, WriteOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: files RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let files = client.files();
    files.set_machine(&machine).await?;

    let dir = format!("/tmp/fleetmux-example-{}", std::process::id());
    files.mkdir(&dir, false).await?;
    files.write(format!("{dir}/notes.txt"), "remember me\n").await?;
    for entry in files.list(&dir).await? {
        println!("{} {} {}", entry.name().display(), entry.size, entry.mode_text());
    }
    print!("{}", String::from_utf8_lossy(&files.read(format!("{dir}/notes.txt")).await?));

    let options = SearchOptions { content_pattern: "rem[a-z]*".into(), ..SearchOptions::default() };
    for found in files.search(&dir, options).await?.matches {
        for line in &found.lines {
            let text = String::from_utf8_lossy(&line.text[line.start..line.end]);
            println!("found: {}:{} {text}", found.entry.name().display(), line.number);
        }
    }

    // A long file goes by in chunks, and is there as a whole or not at all.
    let mut writer = files.create(format!("{dir}/long"), WriteOptions::default()).await?;
    for _ in 0..30 {
        writer.write(vec![b'x'; 100_000].into()).await?;
    }
    let entry = writer.finish().await?;
    let mut reader = files.open(&entry.path, ReadOptions::default()).await?;
    let mut bytes = 0;
    while let Some(chunk) = reader.recv().await? {
        bytes += chunk.len();
    }
    println!("streamed: {bytes} bytes, whole: {}", bytes as u64 == entry.size);

    match files.read(format!("{dir}/missing")).await {
        Err(Error::FileNotFound(message)) => println!("Not found: {}", message.contains("missing")),
        other => println!("unexpected: {other:?}"),
    }
    let removed = files.delete(&dir, true).await?;
    println!("removed: {} files, {} directory", removed.files, removed.directories);
    Ok(())
}
