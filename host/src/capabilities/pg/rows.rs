//! Result rows on their way to the guest: read from the server no faster than the guest takes them.
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Stream, TryStreamExt};
use tokio::sync::oneshot;
use tokio_postgres::RowStream;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};
use wasmtime::{Result, StoreContextMut};

use super::errors::query_failed;
use super::pg::{Error, Row};
use super::pool::SharedLoan;
use super::values;

/// Rows handed over at once, at most.
const BATCH: usize = 64;

/// Produces the rows of one query; holds the connection until the last is out or the guest stops reading.
pub struct Producer {
    rows: Pin<Box<RowStream>>,
    end: Option<oneshot::Sender<Result<(), Error>>>,
    _loan: SharedLoan,
}

impl Producer {
    /// `end` is told how the rows ended.
    pub fn new(rows: RowStream, loan: SharedLoan, end: oneshot::Sender<Result<(), Error>>) -> Self {
        Self {
            rows: Box::pin(rows),
            end: Some(end),
            _loan: loan,
        }
    }

    /// The rows that are there, and how they ended if they did.
    fn ready_rows(&mut self, context: &mut Context<'_>) -> (Vec<Row>, Option<Result<(), Error>>) {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            match self.rows.as_mut().poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => return (batch, Some(Ok(()))),
                Poll::Ready(Some(row)) => match row
                    .map_err(|error| query_failed(&error))
                    .and_then(|row| values::row(&row))
                {
                    Ok(row) => batch.push(row),
                    Err(error) => return (batch, Some(Err(error))),
                },
            }
        }
        (batch, None)
    }
}

impl<D> StreamProducer<D> for Producer {
    type Item = Row;
    type Buffer = VecBuffer<Row>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Row, VecBuffer<Row>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let (batch, outcome) = self.ready_rows(context);
        let ended = outcome.is_some();
        if let (Some(outcome), Some(end)) = (outcome, self.end.take_if(|_| ended)) {
            // The guest may have dropped the future.
            let _ = end.send(outcome);
        }
        let any = !batch.is_empty();
        if any {
            destination.set_buffer(batch.into());
        }
        match (ended, any, finish) {
            (true, ..) => Poll::Ready(Ok(StreamResult::Dropped)),
            (false, true, _) => Poll::Ready(Ok(StreamResult::Completed)),
            (false, false, true) => Poll::Ready(Ok(StreamResult::Cancelled)),
            (false, false, false) => Poll::Pending,
        }
    }
}

/// All rows, for the synchronous interface.
///
/// # Errors
/// The server's, or when there are more than `most`.
pub async fn collect(rows: RowStream, most: usize) -> Result<Vec<Row>, Error> {
    let mut rows = std::pin::pin!(rows);
    let mut all = Vec::new();
    while let Some(row) = rows
        .try_next()
        .await
        .map_err(|error| query_failed(&error))?
    {
        if all.len() == most {
            return Err(Error::Other(format!(
                "the result has more than {most} rows; read it as a stream"
            )));
        }
        all.push(values::row(&row)?);
    }
    Ok(all)
}
