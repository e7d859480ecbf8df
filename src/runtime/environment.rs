//! The variables that programs of sessions and commands start with: those of a fresh login, as sshd and systemd make them,
//! whatever the agent itself was started with.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::passwd::Login;
use super::ssh_auth;

/// Where a login finds programs, if the system does not say.
const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The language where the system names none, or one without UTF-8.
const LANG: &str = "C.UTF-8";
/// Our own directories: `fleetmux` in a session is to find the agent that it belongs to.
const OWN: [&str; 3] = ["FLEETMUX_RUNTIME_DIR", "FLEETMUX_STATE_DIR", "FLEETMUX_CONFIG_DIR"];

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// A login's variables, and those of this process's own that are to be kept: names, or beginnings that end in `*`.
pub fn login_variables(login: &Login, keep: &[String]) -> Variables {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let system = System {
        environment: read("/etc/environment"),
        login_defs: read("/etc/login.defs"),
        locale: read("/etc/default/locale") + "\n" + &read("/etc/locale.conf"),
    };
    let mut variables = system.variables(login);
    if let Some(dir) = runtime_dir() {
        variables.insert("DBUS_SESSION_BUS_ADDRESS".into(), format!("unix:path={dir}/bus"));
        variables.insert("XDG_RUNTIME_DIR".into(), dir);
    }
    let is_kept = |name: &str| {
        let fits = |keep: &String| keep.strip_suffix('*').map_or(keep == name, |start| name.starts_with(start));
        OWN.contains(&name) || keep.iter().any(fits)
    };
    let own =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.extend(own.filter(|(name, _)| is_kept(name)));
    if is_kept(ssh_auth::VARIABLE) {
        variables.insert(ssh_auth::VARIABLE.into(), ssh_auth::link().to_string_lossy().into_owned());
    }
    variables
}

/// Programs of ours are found behind all others. A login shell that sets PATH anew does not find them there.
pub fn find_programs(variables: &mut Variables, dir: &Path) {
    let text = dir.to_str().filter(|text| dir.is_absolute() && !text.contains(':') && dir.is_dir());
    if let (Some(text), Some(path)) = (text, variables.get_mut("PATH")) {
        path.push(':');
        path.push_str(text);
    }
}

/// `ccat` as a function that bash takes from its environment: a login shell sets PATH anew, and keeps this.
pub fn shell_function(dir: &Path) -> Option<(String, String)> {
    let program = dir.join("ccat");
    let text = program.to_str().filter(|text| program.exists() && !text.contains(['\'', '\n']))?;
    Some(("BASH_FUNC_ccat%%".into(), format!("() {{ '{text}' \"$@\"; }}")))
}

/// What the system's files say.
struct System {
    environment: String,
    login_defs: String,
    locale: String,
}

impl System {
    fn variables(&self, login: &Login) -> Variables {
        let mut variables: Variables = assignments(&self.environment).collect();
        let path_name = if login.is_root { "ENV_SUPATH" } else { "ENV_PATH" };
        let defined = self.login_defs.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
        let defined = defined.filter(|(name, _)| *name == path_name);
        let defined = defined.filter_map(|(_, value)| value.trim().strip_prefix("PATH=")).next_back();
        let path = defined.unwrap_or(if login.is_root { ROOT_PATH } else { USER_PATH });
        variables.entry("PATH".into()).or_insert_with(|| path.into());
        for (name, value) in assignments(&self.locale).filter(|(name, _)| name == "LANGUAGE" || is_locale(name)) {
            variables.entry(name).or_insert(value);
        }
        // Where text is not UTF-8 nobody could read what is not ASCII.
        let is_utf8 = |value: &String| value.to_ascii_lowercase().replace('-', "").contains("utf8");
        variables.retain(|name, value| !is_locale(name) || is_utf8(value));
        if !variables.contains_key("LC_ALL") {
            variables.entry("LANG".into()).or_insert_with(|| LANG.into());
        }
        for (name, value) in [
            ("HOME", login.home.to_string_lossy().into_owned()),
            ("SHELL", login.shell.clone()),
            ("USER", login.user.clone()),
            ("LOGNAME", login.user.clone()),
        ] {
            variables.insert(name.into(), value);
        }
        variables
    }
}

fn is_locale(name: &str) -> bool {
    name == "LANG" || name.starts_with("LC_")
}

/// `NAME=value` lines, quotes taken off, as pam_env reads them.
fn assignments(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let value = value.trim().trim_matches(['"', '\'']);
        (!name.is_empty() && name.chars().all(is_name)).then(|| (name.to_string(), value.to_string()))
    })
}

/// The user's runtime directory, if the system made one.
fn runtime_dir() -> Option<String> {
    let uid = rustix::process::getuid().as_raw();
    let dir = format!("/run/user/{uid}");
    let is_own = std::fs::metadata(Path::new(&dir)).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid);
    is_own.then_some(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(environment: &str, login_defs: &str, locale: &str, is_root: bool) -> Variables {
        let [environment, login_defs, locale] = [environment, login_defs, locale].map(String::from);
        let login = Login { home: "/home/ada".into(), shell: "/bin/zsh".into(), user: "ada".into(), is_root };
        System { environment, login_defs, locale }.variables(&login)
    }

    #[test]
    fn a_login_has_what_the_system_says_and_nothing_else() {
        let bare = variables("", "", "", false);
        let names: Vec<&str> = bare.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"]);
        assert_eq!((&*bare["LANG"], &*bare["PATH"], &*bare["HOME"]), (LANG, USER_PATH, "/home/ada"));
        let defs = "ENV_SUPATH\tPATH=/sbin:/bin\nENV_PATH PATH=/bin\n# ENV_PATH PATH=/no\n";
        assert_eq!(variables("", defs, "", true)["PATH"], "/sbin:/bin");
        assert_eq!(variables("", defs, "", false)["PATH"], "/bin");
        let told = variables("PATH=\"/opt/bin:/bin\"\nEDITOR=vim\n#X=1\nUSER=eve\n", defs, "", true);
        assert_eq!((&*told["PATH"], &*told["EDITOR"], &*told["USER"]), ("/opt/bin:/bin", "vim", "ada"));
    }

    #[test]
    fn text_is_utf8_whatever_the_system_says() {
        let lang = |locale: &str| variables("", "", locale, false).get("LANG").cloned();
        assert_eq!(lang("LANG=de_DE.UTF-8").as_deref(), Some("de_DE.UTF-8"));
        assert_eq!(lang("export LANG='en_US.utf8'").as_deref(), Some("en_US.utf8"));
        assert_eq!(lang("LANG=C").as_deref(), Some(LANG));
        assert_eq!(lang("LC_ALL=de_DE.UTF-8"), None);
        assert!(!variables("", "", "LC_CTYPE=C\nTZ=Mars", false).contains_key("LC_CTYPE"));
    }

    #[test]
    fn own_variables_are_kept_by_name_or_beginning() {
        let login = Login { home: "/".into(), shell: "/bin/sh".into(), user: "ada".into(), is_root: false };
        let of = |keep: &[&str]| login_variables(&login, &keep.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert!(!of(&[]).keys().any(|name| name.starts_with("CARGO_")));
        assert!(
            of(&["CARGO_*"]).contains_key("CARGO_MANIFEST_DIR")
                && of(&["CARGO_PKG_NAME"]).contains_key("CARGO_PKG_NAME")
        );
    }
}
