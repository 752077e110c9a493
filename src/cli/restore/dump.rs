//! The facts about a backup that are read before it is restored: its schema, and which secret key seals it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::cli::database::DatabaseAccess;
use crate::cli::failure::Failure;
use crate::cli::libpq::{program, run};

/// The extension that doorward's indexes need, as pg_restore's list names it.
const EXTENSION: &str = "EXTENSION - pg_trgm ";

/// A file that `doorward backup` created.
pub(super) struct Dump {
    pub file: PathBuf,
    /// The schema that doorward used in the backed-up database.
    pub schema: String,
    /// The check value, which only the right secret key opens. `None` means that no server had started on
    /// that database.
    pub check_value: Option<Vec<u8>>,
    /// The part of pg_restore's list that is restored.
    pub list: String,
}

impl Dump {
    /// Reads the list of the backup, and the row of the installation in it.
    ///
    /// # Errors
    /// pg_restore cannot read the file, or it is not a backup of doorward.
    pub(super) fn read(access: &DatabaseAccess, file: &Path) -> Result<Self, Failure> {
        let ask = |arguments: &[&str]| {
            let mut command = program(access, "pg_restore")?;
            command.args(arguments).arg(file);
            run(command, Stdio::piped()).map(|said| String::from_utf8_lossy(&said).into_owned())
        };
        let list = ask(&["--list"])?;
        let instance = ask(&["--data-only", "--table=instance", "--file=-"])?;
        let of_others = || Failure::new(format!("{} is not a backup of doorward", file.display()));
        let (schema, check_value) = read_instance(&instance).ok_or_else(of_others)?;
        let list: String =
            list.lines().filter(|line| is_wanted(line, &schema)).map(|line| format!("{line}\n")).collect();
        if !list.contains(&format!(" TABLE DATA {schema} instance ")) {
            return Err(of_others());
        }
        Ok(Self { file: file.to_owned(), schema, check_value, list })
    }
}

/// Returns whether a line of the list names an object in doorward's schema, or its extension. Other objects
/// belong to other programs. A line looks like `215; 1259 16403 TABLE public users doorward`.
fn is_wanted(line: &str, schema: &str) -> bool {
    let entry = line.splitn(4, ' ').nth(3).filter(|_| !line.starts_with(';')).unwrap_or_default();
    let in_schema = entry.split_once(&format!(" {schema} ")).is_some_and(|(kind, _)| {
        !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ')
    });
    in_schema || entry.starts_with(EXTENSION)
}

/// Parses the schema and the check value from a script that copies the table `instance`.
fn read_instance(script: &str) -> Option<(String, Option<Vec<u8>>)> {
    let mut lines = script.lines();
    let (schema, column) = lines.find_map(read_head)?;
    let row = lines.next().filter(|row| *row != "\\.");
    Some((schema, row.map(|row| read_bytea(row.split('\t').nth(column).unwrap_or_default()))))
}

/// Parses a line such as `COPY public.instance (only_row, check_value, …) FROM stdin;`. Returns the schema
/// and the index of the column.
fn read_head(line: &str) -> Option<(String, usize)> {
    let (table, columns) = line.strip_prefix("COPY ")?.split_once(" (")?;
    let (schema, table) = table.rsplit_once('.')?;
    let (columns, _) = columns.split_once(')')?;
    let column = columns.split(", ").position(|column| unquote(column) == "check_value")?;
    (unquote(table) == "instance").then(|| (unquote(schema), column))
}

fn unquote(name: &str) -> String {
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// Parses a `bytea` in either of PostgreSQL's formats, with its backslashes doubled by COPY. Returns nothing
/// for any other text, which no key opens.
fn read_bytea(field: &str) -> Vec<u8> {
    let text = field.replace("\\\\", "\\");
    match text.strip_prefix("\\x") {
        Some(digits) => read_hex(digits),
        None => read_escaped(&text),
    }
    .unwrap_or_default()
}

fn read_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Parses the format of `bytea_output = escape`, in which `\\` is a backslash and `\001` a byte in octal.
fn read_escaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let (byte, used) = match (first, tail) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', _) => (u8::from_str_radix(std::str::from_utf8(tail.get(..3)?).ok()?, 8).ok()?, 3),
            (byte, _) => (*byte, 0),
        };
        bytes.push(byte);
        rest = &tail[used..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_of_the_doorward_schema_are_wanted() {
        for line in [
            "215; 1259 16403 TABLE public users doorward",
            "3391; 0 16403 TABLE DATA public users doorward",
            "3241; 2606 16412 FK CONSTRAINT public users users_role_fkey doorward",
            "2; 3079 16385 EXTENSION - pg_trgm ",
        ] {
            assert!(is_wanted(line, "public"), "{line}");
        }
        for line in [
            "; Archive created at public time",
            "215; 1259 16403 TABLE billing public doorward",
            "6; 2615 2200 SCHEMA - public doorward",
            "3; 3079 16385 EXTENSION - postgis ",
            "3400; 3466 17000 EVENT TRIGGER - watch public ",
            "",
        ] {
            assert!(!is_wanted(line, "public"), "{line}");
        }
        assert!(is_wanted("215; 1259 16403 TABLE AUTH users doorward", "AUTH"));
        assert!(is_wanted("215; 1259 16403 TABLE the house users doorward", "the house"));
    }

    #[test]
    fn check_value_is_found_in_every_form_of_a_dump() {
        let head = "SET x = 0;\n\nCOPY public.instance (only_row, check_value, created_at) FROM stdin;\n";
        let of = |script: &str| read_instance(script);
        let expected = |bytes: &[u8]| Some(("public".to_owned(), Some(bytes.to_vec())));
        assert_eq!(of(&format!("{head}t\t\\\\x01ff5c\t2026-11-23\n\\.\n")), expected(b"\x01\xff\\"));
        assert_eq!(of(&format!("{head}t\t\\\\001a\\\\377\\\\\\\\\t2026\n\\.\n")), expected(b"\x01a\xff\\"));
        assert_eq!(of(&format!("{head}t\tn\\\\\t2026\n\\.\n")), expected(b""));
        assert_eq!(of(&format!("{head}\\.\n")), Some(("public".to_owned(), None)));
        let quoted = "COPY \"a \"\"b\"\"\".\"instance\" (\"check_value\") FROM stdin;\n\\\\x00\n\\.\n";
        assert_eq!(of(quoted), Some(("a \"b\"".to_owned(), Some(vec![0]))));
        assert_eq!(of("COPY cloud.instance (id, name) FROM stdin;\n1\tone\n\\.\n"), None);
    }
}
