//! Checks that the number and size of each parser's allocations are linear in its input. Inputs are grown
//! from the corpus to two sizes, one sixteen times the other.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use allocation_counter::{AllocationInfo, measure};

use super::targets::{TARGETS, Target};

const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;
/// The factor by which allocations may exceed the growth of the input, because tables and vectors double in
/// size.
const ALLOWANCE: u64 = 3;
/// The number of allocations that is allowed for any input.
const COUNT_ALLOWED: u64 = 2_000;
/// The number of allocated bytes that is allowed for any input.
const BYTES_ALLOWED: u64 = 256 * 1024;
/// The maximum number of bytes allocated for each byte of a stranger's input, including tables that were
/// outgrown.
const BYTES_PER_BYTE: u64 = 250;
/// The target whose input comes from the operator. It compares each unknown name with all known ones.
const OF_OPERATOR: &str = "settings";

/// An input with a part that is repeated, and two parts that are not.
struct Growth<'a> {
    head: &'a [u8],
    repeated: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Growth<'a> {
    fn of(input: &'a [u8], from: usize, to: usize) -> Option<Self> {
        (from < to && to <= input.len()).then(|| Self {
            head: &input[..from],
            repeated: &input[from..to],
            tail: &input[to..],
        })
    }

    /// Returns the input with as many repetitions as fit into this size.
    fn to(&self, size: usize) -> Vec<u8> {
        let room = size.saturating_sub(self.head.len() + self.tail.len());
        [self.head, &self.repeated.repeat(room / self.repeated.len()), self.tail].concat()
    }
}

/// Returns the ways in which an input grows. The repeated part is all of it, a piece of some length at some
/// place, or the text between two separators.
fn growths(input: &[u8]) -> Vec<Growth<'_>> {
    let places = [0, input.len() / 3, input.len() * 2 / 3];
    let pieces = places.into_iter().flat_map(|at| [1, 6, 24].map(|length| (at, at + length)));
    let between = b",&;.:/ \n\"".iter().filter_map(|separator| {
        let mut places = (0..input.len()).rev().filter(|at| input[*at] == *separator);
        let last = places.next()?;
        Some((places.next()? + 1, last + 1))
    });
    let all = [(0, input.len())].into_iter().chain(pieces).chain(between);
    all.filter_map(|(from, to)| Growth::of(input, from, to)).collect()
}

fn allocations(target: Target, input: &[u8]) -> AllocationInfo {
    measure(|| target(input))
}

fn fault(small: &AllocationInfo, large: &AllocationInfo, per_byte: u64) -> Option<String> {
    let growth = ALLOWANCE * (LARGE / SMALL) as u64;
    let is_linear = large.count_total <= growth * small.count_total + COUNT_ALLOWED
        && large.bytes_total <= growth * small.bytes_total + BYTES_ALLOWED;
    let is_bounded = large.bytes_total / LARGE as u64 <= per_byte;
    (!is_linear || !is_bounded).then(|| {
        format!(
            "{} allocations of {} bytes become {} of {}",
            small.count_total, small.bytes_total, large.count_total, large.bytes_total
        )
    })
}

fn faults_of(target: Target, file: &Path) -> Vec<String> {
    let input = fs::read(file).unwrap();
    let is_of_operator = file.parent().is_some_and(|folder| folder.ends_with(OF_OPERATOR));
    let per_byte = if is_of_operator { u64::MAX } else { BYTES_PER_BYTE };
    let mut faults = Vec::new();
    for growth in growths(&input) {
        let [small, large] = [SMALL, LARGE].map(|size| allocations(target, &growth.to(size)));
        faults.extend(fault(&small, &large, per_byte).map(|fault| {
            format!("{}: {:?}: {fault}", file.display(), String::from_utf8_lossy(growth.repeated))
        }));
    }
    faults
}

#[test]
fn allocations_of_every_parser_are_linear() {
    let files: Vec<_> = TARGETS
        .iter()
        .flat_map(|(name, target)| {
            let files = super::files(&Path::new(super::CORPUS).join(name));
            files.into_iter().map(|file| (*target, file))
        })
        .collect();
    assert!(files.len() > 80, "{}", files.len());
    // Run each parser once, so that one-time initialization is not counted.
    for (target, file) in &files {
        target(&fs::read(file).unwrap());
    }
    let (waiting, found) = (Mutex::new(files), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((target, file)) = next() {
                    let faults = faults_of(target, &file);
                    found.lock().unwrap().extend(faults);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn quadratic_allocations_are_detected() {
    let quadratic: Target = |bytes| {
        for end in (0..bytes.len()).step_by(64) {
            std::hint::black_box(bytes[..end].to_vec());
        }
    };
    let linear: Target = |bytes| {
        std::hint::black_box(bytes.to_vec());
    };
    let measured = |target: Target| {
        let input = Growth { head: b"", repeated: b"x", tail: b"" };
        let [small, large] = [SMALL, LARGE].map(|size| allocations(target, &input.to(size)));
        fault(&small, &large, BYTES_PER_BYTE)
    };
    assert_eq!(measured(linear), None);
    assert!(measured(quadratic).is_some());
}
