//! The proof at the end of a backup. It is an HMAC under the secret key, so that no one without the key can
//! change what a restore brings back.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};

use crate::secret_key::{MAC_LEN, Purpose, SecretKeys};

/// The text before the HMAC. The HMAC follows as hexadecimal digits and a line feed.
const LABEL: &[u8] = b"\nDOORWARD-BACKUP-HMAC-SHA256-1 ";
/// The number of hexadecimal digits.
const DIGITS: usize = 2 * MAC_LEN;
/// The length of a proof in bytes.
const PROOF_LEN: usize = LABEL.len() + DIGITS + 1;
/// The number of bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// A backup's SHA-256, which the HMAC is computed over.
pub(crate) type Digest = [u8; 32];

/// A backup that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    digest: Digest,
    mac: Option<[u8; MAC_LEN]>,
}

/// The result of checking a backup's proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A holder of one of the secret keys made the backup, and it has not changed since.
    Good,
    /// The backup has a proof, but none of the keys verifies it.
    Wrong,
    /// The backup has no proof.
    Missing,
}

/// Copies a dump and returns its digest.
pub(crate) fn copy_dump(mut from: impl Read, mut to: impl Write) -> io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => return Ok(finish(context)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(&chunk[..length]);
        to.write_all(&chunk[..length])?;
    }
}

/// Writes the proof of a dump with this digest.
pub(crate) fn write(keys: &SecretKeys, digest: &Digest, mut to: impl Write) -> io::Result<()> {
    let mac = keys.mac(Purpose::Backup, &[digest]);
    let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    to.write_all(LABEL)?;
    to.write_all(digits.as_bytes())?;
    to.write_all(b"\n")
}

/// Copies a backup without its proof.
pub(crate) fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<Copied> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    // Hold back the last bytes, because they may be the proof.
    let mut held: Vec<u8> = Vec::with_capacity(CHUNK + PROOF_LEN);
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        held.extend_from_slice(&chunk[..length]);
        let ready = held.len().saturating_sub(PROOF_LEN);
        context.update(&held[..ready]);
        to.write_all(&held[..ready])?;
        held.drain(..ready);
    }
    let mac = read_mac(&held);
    if mac.is_none() {
        context.update(&held);
        to.write_all(&held)?;
    }
    Ok(Copied { digest: finish(context), mac })
}

impl Copied {
    /// Checks the proof against each of the keys.
    #[must_use]
    pub(crate) fn proof(&self, keys: &SecretKeys) -> Proof {
        match &self.mac {
            None => Proof::Missing,
            Some(mac) if keys.verify_mac(Purpose::Backup, &[&self.digest], mac) => Proof::Good,
            Some(_) => Proof::Wrong,
        }
    }

    /// Returns whether the backup has a proof, valid or not.
    #[must_use]
    pub(crate) fn has_proof(&self) -> bool {
        self.mac.is_some()
    }
}

fn finish(context: Context) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn read_mac(end: &[u8]) -> Option<[u8; MAC_LEN]> {
    let digits = end.strip_prefix(LABEL)?.strip_suffix(b"\n")?;
    if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut mac = [0; MAC_LEN];
    for (byte, pair) in mac.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> SecretKeys {
        SecretKeys::derive(texts.iter().copied()).unwrap()
    }

    const OLD: &str = "an old key of thirty-two characters";
    const NEW: &str = "a new key of thirty-two characters!";

    fn backup(keys: &SecretKeys, dump: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let digest = copy_dump(dump, &mut file).unwrap();
        write(keys, &digest, &mut file).unwrap();
        file
    }

    fn read(file: &[u8]) -> (Copied, Vec<u8>) {
        let mut dump = Vec::new();
        (copy(file, &mut dump).unwrap(), dump)
    }

    #[test]
    fn proof_is_valid_under_any_of_the_keys() {
        for length in [0, 1, PROOF_LEN, CHUNK - 1, CHUNK, CHUNK + PROOF_LEN, 3 * CHUNK + 7] {
            let dump: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let (copied, read) = read(&backup(&keys(&[OLD]), &dump));
            assert_eq!(read, dump, "{length}");
            assert_eq!(copied.proof(&keys(&[NEW, OLD])), Proof::Good, "{length}");
            assert_eq!(copied.proof(&keys(&[NEW])), Proof::Wrong, "{length}");
        }
    }

    #[test]
    fn altered_backup_is_never_valid() {
        let file = backup(&keys(&[OLD]), b"PGDMP and what follows");
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_ne!(read(&changed).0.proof(&keys(&[OLD])), Proof::Good, "byte {at}");
            assert_eq!(read(&file[..at]).0.proof(&keys(&[OLD])), Proof::Missing, "cut at {at}");
        }
    }
}
