//! Flags of `fleetmux files`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

const EXIT: &str =
    "Exit codes: 0 done; 2 the command line makes no sense; 255 our own failure, with a sentence on standard error";

#[derive(Clone, Debug, Subcommand)]
pub(super) enum FilesCommand {
    /// List a directory
    #[command(after_help = EXIT)]
    Ls(LsArgs),
    /// Write a file to standard output
    #[command(after_help = EXIT)]
    Cat(CatArgs),
    /// Copy a file, or standard input, to a machine; the file there is replaced as a whole or not at all
    #[command(after_help = EXIT)]
    Put(PutArgs),
    /// Copy a file from a machine; the file here is replaced as a whole or not at all
    #[command(after_help = EXIT)]
    Get(GetArgs),
    /// Show what a path leads to
    #[command(after_help = EXIT)]
    Stat(StatArgs),
    /// Remove a file, a link or an empty directory
    #[command(after_help = EXIT)]
    Rm(RmArgs),
    /// Make a directory
    #[command(after_help = EXIT)]
    Mkdir(MkdirArgs),
    /// Move or rename on one machine
    #[command(after_help = EXIT)]
    Mv(MoveArgs),
    /// Copy on one machine
    #[command(after_help = EXIT)]
    Cp(CopyArgs),
    /// Look for files by name and by what is in them
    #[command(after_help = EXIT)]
    Search(SearchArgs),
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct LsArgs {
    /// The machine, with the path behind a colon or as the next argument: web-1:/var/log or web-1 /var/log
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The directory [default: home]
    pub(super) path: Option<OsString>,
    /// Modes, owners, sizes and times too
    #[arg(short, long)]
    pub(super) long: bool,
    /// Names that begin with a dot too
    #[arg(short, long)]
    pub(super) all: bool,
    /// JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct CatArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The file
    pub(super) path: Option<OsString>,
    /// Where to begin, bytes
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub(super) offset: u64,
    /// Bytes at most [default: to the end]
    #[arg(long, value_name = "BYTES")]
    pub(super) length: Option<u64>,
    /// In colours, as `fleetmux highlight MACHINE:PATH`
    #[arg(long, conflicts_with_all = ["offset", "length"])]
    pub(super) highlight: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct PutArgs {
    /// The file here; - for standard input
    #[arg(value_name = "LOCAL")]
    pub(super) local: PathBuf,
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The file there, or a directory for it [default: home]
    pub(super) path: Option<OsString>,
    /// Do not replace a file that is there
    #[arg(short, long)]
    pub(super) no_clobber: bool,
    /// Make the directories that lead to it
    #[arg(short, long)]
    pub(super) parents: bool,
    /// Permissions of a new file, less the umask there: 640 [default: those of the file here]
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(super) mode: Option<u32>,
    /// No progress on standard error
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct GetArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The file there, unless it was named with the machine; then the file or directory here, or - for standard output
    /// [default: its name, in this directory]
    #[arg(value_name = "PATH|LOCAL", num_args = 0..=2)]
    pub(super) rest: Vec<OsString>,
    /// Do not replace a file that is here
    #[arg(short, long)]
    pub(super) no_clobber: bool,
    /// No progress on standard error
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct StatArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The file or directory [default: home]
    pub(super) path: Option<OsString>,
    /// What a link leads to, not the link
    #[arg(short = 'L', long)]
    pub(super) dereference: bool,
    /// JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct RmArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The file or directory
    pub(super) path: Option<OsString>,
    /// A directory with all that is in it
    #[arg(short, long)]
    pub(super) recursive: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct MkdirArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// The directory
    pub(super) path: Option<OsString>,
    /// Make those that lead to it, and do not mind one that is there
    #[arg(short, long)]
    pub(super) parents: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct MoveArgs {
    /// The machine, with the first path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:FROM]")]
    pub(super) machine: OsString,
    /// From where, unless that was named with the machine, and to where: a name, or a directory for it
    #[arg(value_name = "FROM|TO", num_args = 1..=2, required = true)]
    pub(super) rest: Vec<OsString>,
    /// Do not replace what is there
    #[arg(short, long)]
    pub(super) no_clobber: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct CopyArgs {
    #[command(flatten)]
    pub(super) places: MoveArgs,
    /// A directory with all that is in it
    #[arg(short, long)]
    pub(super) recursive: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct SearchArgs {
    /// The machine, with the path behind a colon or as the next argument
    #[arg(value_name = "MACHINE[:PATH]")]
    pub(super) machine: OsString,
    /// Where to look [default: home]
    pub(super) path: Option<OsString>,
    /// Names like this: *.log, or a part of the name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "GLOB")]
    pub(super) name: String,
    /// Lines like this, in text files
    #[arg(long, default_value = "", hide_default_value = true, value_name = "REGEX")]
    pub(super) content: String,
    /// Capital letters count
    #[arg(short, long)]
    pub(super) case_sensitive: bool,
    /// Names that begin with a dot too
    #[arg(short, long)]
    pub(super) all: bool,
    /// Files found at most
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(super) max_results: u32,
    /// Levels of directories looked into, 1 for the first one only [default: all]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub(super) max_depth: u32,
    /// Lines shown before and after one that matches
    #[arg(short = 'C', long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub(super) context: u32,
    /// JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| (1..=0o777).contains(mode));
    mode.ok_or_else(|| format!("{text:?} is no mode; write 644 or 750"))
}
