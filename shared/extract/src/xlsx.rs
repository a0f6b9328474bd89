//! Workbooks: a section per sheet, a line per row, tabs between cells. Cells are read one by one: a sheet that claims to have
//! seventeen billion of them costs no more than those that it has.

use crate::out::Out;
use crate::{Extracted, Limits, Refused};
use calamine::{DataRef, Reader, Xlsx, XlsxError};
use std::io::Cursor;

/// Most tabs in a row between two cells.
const GAP: u32 = 256;

fn fault(error: XlsxError) -> Refused {
    match error {
        XlsxError::Password => Refused::Encrypted,
        other => Refused::broken(other),
    }
}

pub(crate) fn extract(content: &[u8], limits: Limits) -> Result<Extracted, Refused> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(content)).map_err(fault)?;
    let mut out = Out::new(limits);
    for name in book.sheet_names() {
        let start = out.at();
        sheet(&mut book, &name, &mut out)?;
        out.end_line();
        out.section("sheet", &name, None, start);
        if out.is_full() {
            break;
        }
    }
    Ok(out.finish("xlsx"))
}

fn sheet(book: &mut Xlsx<Cursor<&[u8]>>, name: &str, out: &mut Out) -> Result<(), Refused> {
    let mut cells = match book.worksheet_cells_reader(name) {
        Ok(cells) => cells,
        // Chart sheets have no cells.
        Err(XlsxError::WorksheetNotFound(_)) => return Ok(()),
        Err(error) => return Err(fault(error)),
    };
    let mut last: Option<(u32, u32)> = None;
    while let Some(cell) = cells.next_cell().map_err(fault)? {
        if *cell.get_value() == DataRef::Empty {
            continue;
        }
        if out.is_full() {
            return Ok(());
        }
        let (row, column) = cell.get_position();
        let from = match last {
            Some((same, before)) if same == row => before,
            Some(_) => {
                out.push("\n");
                0
            }
            None => 0,
        };
        for _ in 0..column.saturating_sub(from).min(GAP) {
            out.push("\t");
        }
        out.push(&shown(cell.get_value()).replace(['\t', '\n', '\r'], " "));
        last = Some((row, column));
    }
    Ok(())
}

fn shown(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(truth) => truth.to_string(),
        DataRef::DateTime(time) if time.is_duration() => {
            let seconds = (time.as_f64() * 86_400.0).round() as i64;
            format!(
                "{}:{:02}:{:02}",
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60
            )
        }
        DataRef::DateTime(time) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            match (hour, minute, second) {
                (0, 0, 0) => date,
                _ => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}
