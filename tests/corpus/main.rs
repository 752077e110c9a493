//! Tries each parser on every file of its folder in fuzz/corpus/: whole, truncated, and with each bit
//! flipped. Also checks what each parser allocates as an input grows. `make fuzz` searches for more inputs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod linear;
#[path = "../../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
/// Larger files are only tried whole.
const SMALL: usize = 512;

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn variants(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut variants = vec![bytes.to_vec()];
    if bytes.len() <= SMALL {
        variants.extend((0..bytes.len()).map(|end| bytes[..end].to_vec()));
        variants.extend((0..bytes.len() * 8).map(|bit| {
            let mut turned = bytes.to_vec();
            turned[bit / 8] ^= 1 << (bit % 8);
            turned
        }));
    }
    variants
}

#[test]
fn every_parser_keeps_its_promises_on_its_corpus() {
    let mut tried = 0;
    for (name, target) in targets::TARGETS {
        let files = files(&Path::new(CORPUS).join(name));
        assert!(files.len() >= 3, "{name} has only {} files", files.len());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.len() <= 8 * 1024, "{}: too large for git", file.display());
            for variant in variants(&bytes) {
                let kept = std::panic::catch_unwind(|| target(&variant));
                assert!(kept.is_ok(), "{}: {:?}", file.display(), String::from_utf8_lossy(&variant));
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn every_corpus_folder_has_a_target() {
    let folders: Vec<String> = files(Path::new(CORPUS))
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().into())
        .collect();
    let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders, names);
}
