//! `spin:postgres@4.2.0` over shared pools.
pub mod errors;
pub mod pool;
mod ranges;
mod rows;
mod session;
mod values;
mod wire;

use std::sync::Arc;

use tokio_postgres::RowStream;
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::Spin;
/// The generated types.
pub use super::bindings::spin::postgres::postgres as pg;
use crate::runtime::{ComponentInfo, Ctx, Shared};
use errors::{connection_failed, query_failed};
use pg::{Column, Error, ParameterValue, Row, RowSet};
use pool::{Loan, SharedLoan};
use values::Parameter;

/// A guest's connection: a loan from the pool, given back when the guest lets go.
pub struct Connection(SharedLoan);

/// A connection that is being described.
#[derive(Debug)]
pub struct ConnectionBuilder {
    address: String,
    root_ca: Option<String>,
}

/// The most rows that the synchronous `query` gives.
const SYNC_RESULT_ROWS: usize = 100_000;

async fn open(
    component: &ComponentInfo,
    shared: &Shared,
    address: &str,
    root_ca: Option<&str>,
) -> Result<Connection, Error> {
    check_allowed(component, address)?;
    let pool = shared
        .pools
        .get(address, root_ca)
        .map_err(|error| connection_failed(format!("{error:#}")))?;
    Loan::take(&pool)
        .await
        .map(|loan| Connection(Arc::new(loan)))
        .map_err(Error::ConnectionFailed)
}

/// Every host of the address must be in the component's `allowed_outbound_hosts`.
fn check_allowed(component: &ComponentInfo, address: &str) -> Result<(), Error> {
    let config =
        pool::parse_url(address).map_err(|error| connection_failed(format!("{error:#}")))?;
    let ports = config.get_ports();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let allowed = match host {
            tokio_postgres::config::Host::Tcp(name) => {
                component.allowed_hosts.allows("postgres", name, Some(port))
            }
            // As in Spin, where a socket on the host has no form in the list.
            tokio_postgres::config::Host::Unix(_) => {
                component
                    .allowed_hosts
                    .allows("postgres", "localhost", Some(port))
            }
        };
        if !allowed {
            return Err(connection_failed(
                "address is not in allowed_outbound_hosts",
            ));
        }
    }
    Ok(())
}

async fn run_query(
    loan: &Loan,
    sql: &str,
    parameters: Vec<ParameterValue>,
) -> Result<(Vec<Column>, RowStream), Error> {
    let parameters: Vec<Parameter> = values::parameters(parameters)?;
    let session = loan
        .session()
        .ok_or_else(|| connection_failed("the connection is closed"))?;
    let (statement, rows) = session
        .query(sql, &parameters)
        .await
        .map_err(|error| query_failed(&error))?;
    Ok((
        statement.columns().iter().map(values::column).collect(),
        rows,
    ))
}

async fn run_execute(
    loan: &Loan,
    sql: &str,
    parameters: Vec<ParameterValue>,
) -> Result<u64, Error> {
    let parameters = values::parameters(parameters)?;
    let session = loan
        .session()
        .ok_or_else(|| connection_failed("the connection is closed"))?;
    session
        .execute(sql, &parameters)
        .await
        .map_err(|error| query_failed(&error))
}

async fn open_in<T>(
    accessor: &Accessor<T, Spin>,
    address: String,
    root_ca: Option<String>,
) -> Result<Result<Resource<Connection>, Error>> {
    let (component, shared) = accessor.with(|mut access| {
        let ctx = access.get();
        (ctx.component.clone(), ctx.shared.clone())
    });
    match open(&component, &shared, &address, root_ca.as_deref()).await {
        Ok(connection) => Ok(Ok(
            accessor.with(|mut access| access.get().table.push(connection))?
        )),
        Err(error) => Ok(Err(error)),
    }
}

fn loan_of<T>(
    accessor: &Accessor<T, Spin>,
    connection: &Resource<Connection>,
) -> Result<SharedLoan> {
    accessor.with(|mut access| Ok(access.get().table.get(connection)?.0.clone()))
}

type Streamed = (
    Vec<Column>,
    StreamReader<Row>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send> pg::HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Result<Resource<Connection>, Error>> {
        open_in(accessor, address, None).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<Streamed, Error>> {
        let loan = loan_of(accessor, &connection)?;
        let (columns, rows) = match run_query(&loan, &sql, parameters).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let (end, ended) = tokio::sync::oneshot::channel();
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, rows::Producer::new(rows, loan, end))?;
            // A guest that drops the stream early is not told of an error.
            let ended = FutureReader::new(&mut access, async move {
                wasmtime::error::Ok(ended.await.unwrap_or(Ok(())))
            })?;
            Ok(Ok((columns, rows, ended)))
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<u64, Error>> {
        let loan = loan_of(accessor, &connection)?;
        Ok(run_execute(&loan, &sql, parameters).await)
    }
}

impl pg::HostConnection for Ctx {
    async fn open(&mut self, address: String) -> Result<Result<Resource<Connection>, Error>> {
        match open(
            &self.component.clone(),
            &self.shared.clone(),
            &address,
            None,
        )
        .await
        {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<RowSet, Error>> {
        let loan = self.table.get(&connection)?.0.clone();
        Ok(async {
            let (columns, rows) = run_query(&loan, &sql, parameters).await?;
            Ok(RowSet {
                columns,
                rows: rows::collect(rows, SYNC_RESULT_ROWS).await?,
            })
        }
        .await)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<u64, Error>> {
        let loan = self.table.get(&connection)?.0.clone();
        Ok(run_execute(&loan, &sql, parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> pg::HostConnectionBuilderWithStore<T> for Spin {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Result<Resource<Connection>, Error>> {
        let (address, root_ca) = accessor.with(|mut access| {
            access
                .get()
                .table
                .get(&builder)
                .map(|builder| (builder.address.clone(), builder.root_ca.clone()))
        })?;
        open_in(accessor, address, root_ca).await
    }
}

impl pg::HostConnectionBuilder for Ctx {
    async fn new(&mut self, address: String) -> Result<Resource<ConnectionBuilder>> {
        Ok(self.table.push(ConnectionBuilder {
            address,
            root_ca: None,
        })?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> Result<Result<(), Error>> {
        self.table.get_mut(&builder)?.root_ca = Some(certificate);
        Ok(Ok(()))
    }

    async fn build(
        &mut self,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Result<Resource<Connection>, Error>> {
        let builder = self.table.get(&builder)?;
        let (address, root_ca) = (builder.address.clone(), builder.root_ca.clone());
        match open(
            &self.component.clone(),
            &self.shared.clone(),
            &address,
            root_ca.as_deref(),
        )
        .await
        {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn drop(&mut self, builder: Resource<ConnectionBuilder>) -> Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl pg::Host for Ctx {}
