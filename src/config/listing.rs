//! The table of settings for the documentation.

use super::definitions::SETTINGS;

/// Returns the settings as a Markdown table for the documentation. Does not need valid settings.
#[must_use]
pub fn markdown() -> String {
    let mut table = "| setting | flag | default | what it does | allowed |\n\
                     | --- | --- | --- | --- | --- |\n\
                     | `DOORWARD_CONFIG` | `--config` | `./doorward.toml`, if it exists | The settings file. | a path |\n"
        .to_owned();
    for setting in SETTINGS.iter() {
        let cells = [
            format!("`{}`", setting.environment),
            format!("`--{}`", setting.flag),
            setting.default.to_string(),
            setting.help.clone(),
            setting.allowed.clone(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_row_with_all_its_cells() {
        let table = markdown();
        for setting in SETTINGS.iter() {
            let start = format!("| `{}` | `--{}` | ", setting.environment, setting.flag);
            let row = table.lines().find(|line| line.starts_with(&start)).unwrap();
            assert_eq!(row.matches(" | ").count(), 4, "{row}");
            assert!(row.contains(&setting.help) && row.contains(&setting.default.to_string()), "{row}");
        }
        assert_eq!(table.lines().count(), SETTINGS.len() + 3);
        assert!(table.contains("| `DOORWARD_ACCESS_TOKEN_TTL` | `--access-token-ttl` | `5m` | "));
    }
}
