//! A piece of an upload, written as it comes.

use crate::FilesWrite;
use crate::model::Upload;
use crate::upload::digest_of;
use crate::upload::finish::file;
use crate::upload::writer::Writer;
use nodeai_app::serve::body_problem;
use nodeai_app::{Caller, Cx};
use nodeai_files::digest::{self, Expected, Verifier};
use nodeai_files::tus;
use nodeai_http::Problem;

/// Where the upload is after a piece.
pub struct Written {
    /// Its offset.
    pub offset: u64,
    /// Whether it has become a file.
    pub is_file: bool,
}

/// The checksum that a piece comes with. Errors: 400.
pub fn checksum(cx: &Cx) -> Result<Option<Expected>, Problem> {
    match cx.header("upload-checksum") {
        None => digest_of(cx),
        Some(value) => digest::checksum(value)
            .map(Some)
            .map_err(|why| crate::rules::parameter("upload-checksum", "format", &why.to_string())),
    }
}

/// Writes the request's body on. What has come when the client goes away is kept; of a piece with a checksum all or nothing.
pub async fn write(
    caller: &Caller<FilesWrite>,
    upload: Upload,
    checksum: Option<Expected>,
) -> Result<Written, Problem> {
    let mut writer = Writer::on(caller, upload).await?;
    match checksum {
        None => plain(caller, &mut writer).await?,
        Some(expected) => checked(caller, &mut writer, expected).await?,
    }
    let is_file = writer.is_complete();
    match is_file {
        true => drop(file(caller, &mut writer, None).await?),
        false => writer.park().await?,
    }
    Ok(Written {
        offset: writer.upload.offset_bytes,
        is_file,
    })
}

async fn plain(caller: &Caller<FilesWrite>, writer: &mut Writer<'_>) -> Result<(), Problem> {
    writer.load().await?;
    while let Some(piece) = caller.cx.next_piece().await {
        match piece {
            Ok(piece) => writer.push(&piece).await?,
            Err(fault) => {
                writer.park().await?;
                return Err(body_problem(fault));
            }
        }
    }
    Ok(())
}

async fn checked(
    caller: &Caller<FilesWrite>,
    writer: &mut Writer<'_>,
    expected: Expected,
) -> Result<(), Problem> {
    let mark = writer.mark();
    let mut verifier = Verifier::new(expected);
    let taken: Result<(), Problem> = async {
        while let Some(piece) = caller.cx.next_piece().await {
            let piece = piece.map_err(body_problem)?;
            verifier.update(&piece);
            writer.push_row(&piece).await?;
        }
        writer.park().await?;
        match verifier.holds() {
            true => Ok(()),
            false => {
                let mut problem =
                    Problem::digest_mismatch("the piece is not what its checksum says");
                problem.status = tus::CHECKSUM_MISMATCH;
                Err(problem)
            }
        }
    }
    .await;
    match taken {
        Ok(()) => writer.load().await,
        Err(problem) => {
            writer.rewind(mark).await?;
            Err(problem)
        }
    }
}
