//! The process between the server and its PostgreSQL. It becomes PostgreSQL, as an unprivileged user, and
//! ends with its parent. A separate process is needed, because safe Rust can do nothing between fork and
//! exec.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Replaces this process with a program. The arguments are a user ID and a group ID (or `-` for no change),
/// the parent's process ID, the program and its arguments. Returns only if something failed, with the reason.
#[must_use]
pub fn exec_child(arguments: &[OsString]) -> String {
    let [user, group, parent, program, rest @ ..] = arguments else {
        return "private-postgres-child is only started by doorward itself".to_owned();
    };
    if let Err(error) = drop_privileges(user.to_str(), group.to_str()) {
        return format!("cannot switch to PostgreSQL's user: {error}");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = die_with(parent.to_str()) {
        return format!("cannot tie this process to the server: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    let error = Command::new(program).args(rest).exec();
    format!("{}: {error}", program.to_string_lossy())
}

fn drop_privileges(user: Option<&str>, group: Option<&str>) -> nix::Result<()> {
    let (Some(user), Some(group)) =
        (user.and_then(|id| id.parse().ok()), group.and_then(|id| id.parse().ok()))
    else {
        return Ok(());
    };
    #[cfg(not(target_vendor = "apple"))]
    nix::unistd::setgroups(&[])?;
    nix::unistd::setgid(nix::unistd::Gid::from_raw(group))?;
    nix::unistd::setuid(nix::unistd::Uid::from_raw(user))
}

/// Asks the kernel for SIGINT, PostgreSQL's fast shutdown, when the parent ends. A change of user clears this
/// setting, so it comes after that.
#[cfg(target_os = "linux")]
fn die_with(parent: Option<&str>) -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGINT)?;
    let expected: Option<i32> = parent.and_then(|pid| pid.parse().ok());
    // The parent may have ended before the call.
    if Some(nix::unistd::getppid().as_raw()) == expected { Ok(()) } else { Err(nix::errno::Errno::ESRCH) }
}
