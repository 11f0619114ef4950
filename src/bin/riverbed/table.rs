//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};

/// A table of `columns`; those whose names start with `>` hold numbers.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|name| name.trim_start_matches('>').to_owned()));
    for row in rows {
        table.add_row(row);
    }
    for (i, name) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(i).filter(|_| name.starts_with('>')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// A number of bytes for people.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (63 - bytes.leading_zeros()) / 10;
    let unit = usize::try_from(step).ok().and_then(|step| UNITS.get(step - 1)).copied().unwrap_or("EiB");
    let tenths = (bytes >> (10 * (step - 1))) * 10 / 1024;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let rows = vec![vec!["a".into(), "5".into()], vec!["bcd".into(), "1000".into()]];
        let text = table(&["topic", ">bytes"], rows);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, [" topic  bytes", " a          5", " bcd     1000"]);
    }

    #[test]
    fn bytes_have_one_decimal() {
        let table = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB")];
        for (number, text) in table {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes((1 << 30) - 1), "1023.9 MiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }
}
