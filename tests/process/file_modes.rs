//! doorward's own files and folders are closed to other users whatever the umask is. Each start corrects
//! their modes, and refuses files that another user owns.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Folder;

/// A user ID that has no name and is not root's.
const OTHER: u32 = 54_321;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// Returns the files that other users have any access to, and their modes. Omits the socket, whose folder is
/// closed.
fn open_to_others(data: &Path) -> Vec<String> {
    let shut = |path: &Path| mode(path) & 0o077 == 0;
    let entries = fs::read_dir(data).unwrap().flatten().map(|entry| entry.path());
    let mut open: Vec<PathBuf> = entries.filter(|path| !shut(path)).collect();
    let passable = if is_root() { 0o711 } else { 0o700 };
    open.extend((mode(data) & !passable != 0).then(|| data.to_owned()));
    open.iter().map(|path| format!("{} {:o}", path.display(), mode(path))).collect()
}

/// Returns the command with this umask.
fn with_umask(command: &Command, umask: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    shell
}

#[test]
fn files_are_private_under_any_umask() {
    let folder = Folder::new();
    let data = folder.data_dir();
    for umask in ["0", "077"] {
        let server = folder.serve_as(with_umask(&folder.command(&["serve"]), umask));
        assert_eq!(open_to_others(&data), [""; 0], "{umask}");
        drop(server);
    }
    let backup = folder.path().join("auth.dump");
    let done = with_umask(&folder.command(&["backup", backup.to_str().unwrap()]), "0").status().unwrap();
    assert!(done.success());
    assert_eq!(mode(&backup), 0o600);
    let elsewhere = folder.path().join("one/two");
    let mut other = folder.command(&["migrate", "--data-dir"]);
    other.arg(&elsewhere);
    assert!(with_umask(&other, "0").status().unwrap().success());
    assert_eq!(mode(&folder.path().join("one")) & 0o022, 0, "nor those above it");
}

#[test]
fn loosened_modes_are_corrected_at_the_start() {
    let folder = Folder::new();
    drop(folder.serve());
    let data = folder.data_dir();
    let loosen = Command::new("chmod").args(["-R", "g+rwX,o+rX"]).arg(&data).status().unwrap();
    assert!(loosen.success() && open_to_others(&data).len() > 4);
    let server = folder.serve();
    assert_eq!(open_to_others(&data), [""; 0]);
    drop(server);
}

#[test]
fn file_of_another_owner_stops_the_start() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    drop(folder.serve());
    let data = folder.data_dir();
    let names = ["secret.key", "postgres.password", "doorward.password", "doorward.lock", "postgres.log", ""];
    for name in names {
        let path = data.join(name);
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
        let said = folder.fails(&["serve"]);
        assert!(said.contains(&format!("belongs to the user id {OTHER}")), "{name}: {said}");
        assert!(said.contains("chown"), "{name}: {said}");
        chown(&path, Some(0), Some(0)).unwrap();
    }
    drop(folder.serve());
}

#[test]
fn planted_symlink_is_not_written_through() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let (data, victim) = (folder.data_dir(), folder.path().join("victim"));
    fs::write(&victim, "kept").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    for name in ["doorward.lock", "postgres.log"] {
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(&victim, data.join(name)).unwrap();
        std::os::unix::fs::lchown(data.join(name), Some(OTHER), Some(OTHER)).unwrap();
        let said = folder.fails(&["serve"]);
        assert!(said.contains(&format!("{name} is a link that belongs to the user id {OTHER}")), "{said}");
        assert!(said.contains("delete it (rm "), "{said}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept", "{name}");
        assert_eq!(mode(&victim), 0o644, "{name}");
    }
}

#[test]
fn planted_data_folder_is_not_followed() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let (data, target) = (folder.data_dir(), folder.path().join("target"));
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&target, &data).unwrap();
    drop(folder.serve());
    std::os::unix::fs::lchown(&data, Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
    let key = fs::read(target.join("secret.key")).unwrap();
    for command in [&["serve"][..], &["migrate"], &["user", "list"]] {
        let said = folder.fails(command);
        assert!(said.contains(&format!("data is a link that belongs to the user id {OTHER}")), "{said}");
    }
    assert_eq!((mode(&target), fs::read(target.join("secret.key")).unwrap()), (0o755, key));
}

#[test]
fn log_with_a_second_name_keeps_its_mode() {
    let folder = Folder::new();
    drop(folder.serve());
    let (log, victim) = (folder.data_dir().join("postgres.log"), folder.path().join("victim"));
    fs::remove_file(&log).unwrap();
    fs::write(&victim, "kept").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(&victim, &log).unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("postgres.log has a second name (a hard link)"), "{said}");
    assert_eq!((mode(&victim), fs::read_to_string(&victim).unwrap()), (0o644, "kept".to_owned()));
}

#[test]
fn data_folder_with_other_files_keeps_its_mode() {
    let folder = Folder::new();
    let data = folder.data_dir();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("of another program"), "").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    drop(folder.serve());
    assert_eq!(mode(&data), 0o755);
    assert_eq!(mode(&data.join("secret.key")), 0o600);
}

#[test]
fn file_in_place_of_the_data_folder_is_reported_with_a_remedy() {
    let folder = Folder::new();
    fs::write(folder.data_dir(), "a file").unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("the data folder") && said.contains("Something else has this name"), "{said}");
}

#[test]
fn root_refuses_a_settings_file_that_others_can_write() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let file = folder.path().join("doorward.toml");
    fs::write(&file, "registration = \"open\"\n").unwrap();
    let shown = folder.ok(&["config"]);
    assert!(shown.contains("doorward.toml"), "root's own file is read: {shown}");
    type Change<'a> = (&'a Path, u32, u32, &'a str);
    let changes: [Change; 4] = [
        (&file, OTHER, 0o644, "belongs to the user id 54321"),
        (&file, 0, 0o666, "others can write to"),
        (folder.path(), OTHER, 0o755, "belongs to the user id 54321"),
        (folder.path(), 0, 0o777, "others can write to"),
    ];
    for (path, owner, mode, why) in changes {
        let before = fs::metadata(path).unwrap().permissions();
        chown(path, Some(owner), None).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for command in
            [&["config"][..], &["user", "list"], &["serve"], &["backup", "x.dump"], &["key", "list"]]
        {
            let said = folder.fails(command);
            assert!(said.contains(why) && said.contains("--config doorward.toml"), "{command:?}: {said}");
        }
        folder.ok(&["config", "--config", "doorward.toml"]);
        let named = folder.command(&["config"]).env("DOORWARD_CONFIG", "doorward.toml").status().unwrap();
        assert!(named.success());
        chown(path, Some(0), None).unwrap();
        fs::set_permissions(path, before).unwrap();
    }
}

#[test]
fn user_without_a_name_is_reported_with_a_remedy() {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    chown(folder.path(), Some(OTHER), Some(OTHER)).unwrap();
    // Use a copy that this user can reach, wherever the build is.
    let settings = folder.command(&[]);
    let program = folder.path().join("program");
    fs::copy(settings.get_program(), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("serve").current_dir(folder.path()).env_clear().uid(OTHER).gid(OTHER);
    for (name, value) in settings.get_envs() {
        value.map(|value| command.env(name, value));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/etc/passwd") && said.contains(&format!("useradd --uid {OTHER}")), "{said}");
}

#[test]
fn leftover_files_of_killed_processes_are_deleted() {
    let folder = Folder::new();
    drop(folder.serve());
    let left = [
        "secret.0192d7a0-0000-7000-8000-000000000001.unfinished",
        "doorward.restore.0192d7a0-0000-7000-8000-000000000002",
    ]
    .map(|name| folder.data_dir().join(name));
    for file in &left {
        fs::write(file, "a secret").unwrap();
    }
    let dump = folder.path().join("doorward.dump");
    folder.ok(&["backup", dump.to_str().unwrap()]);
    folder.ok(&["restore", dump.to_str().unwrap(), "--yes"]);
    for file in &left {
        assert!(!file.exists(), "{}", file.display());
    }
    assert!(folder.data_dir().join("secret.key").is_file());
}
