//! `spin:key-value@3.0.0` over one redb file per project (pure Rust, transactional, nothing to install).
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, TableDefinition};
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::Spin;
use super::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::runtime::Ctx;

const VALUES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("values");

/// All stores of the project, opened when first used.
#[derive(Debug)]
pub struct Stores {
    /// `None` keeps everything in memory.
    path: Option<PathBuf>,
    database: OnceLock<std::result::Result<Arc<Database>, String>>,
}

/// One open store, as a guest holds it.
#[derive(Debug, Clone)]
pub struct Store {
    label: Arc<str>,
    database: Arc<Database>,
}

impl Stores {
    /// The stores kept in the file `path`, or in memory.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            database: OnceLock::new(),
        }
    }

    fn database(&self) -> std::result::Result<Arc<Database>, Error> {
        let opened = self.database.get_or_init(|| {
            let create = || -> std::result::Result<Database, redb::Error> {
                let database = match &self.path {
                    Some(path) => Database::create(path)?,
                    None => Database::builder().create_with_backend(InMemoryBackend::new())?,
                };
                let transaction = database.begin_write()?;
                transaction.open_table(VALUES)?;
                transaction.commit()?;
                Ok(database)
            };
            create().map(Arc::new).map_err(|error| error.to_string())
        });
        opened.clone().map_err(Error::Other)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

impl Store {
    fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, Error> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(VALUES).map_err(failed)?;
        let value = table.get((&*self.label, key)).map_err(failed)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn change(&self, key: &str, value: Option<&[u8]>) -> std::result::Result<(), Error> {
        let transaction = self.database.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(VALUES).map_err(failed)?;
            match value {
                Some(value) => table.insert((&*self.label, key), value).map_err(failed)?,
                None => table.remove((&*self.label, key)).map_err(failed)?,
            };
        }
        transaction.commit().map_err(failed)
    }

    fn keys(&self) -> std::result::Result<Vec<String>, Error> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(VALUES).map_err(failed)?;
        let mut keys = Vec::new();
        for entry in table.range((&*self.label, "")..).map_err(failed)? {
            let (key, _) = entry.map_err(failed)?;
            let (label, name) = key.value();
            if label != &*self.label {
                break;
            }
            keys.push(name.to_owned());
        }
        Ok(keys)
    }
}

/// Runs file work off the async threads.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<R, Error> + Send + 'static,
) -> std::result::Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

fn store_of<T>(accessor: &Accessor<T, Spin>, store: &Resource<Store>) -> Result<Store> {
    accessor.with(|mut access| Ok(access.get().table.get(store)?.clone()))
}

impl<T: Send> HostStoreWithStore<T> for Spin {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> Result<Result<Resource<Store>, Error>> {
        let (shared, component) = accessor.with(|mut access| {
            let ctx = access.get();
            (ctx.shared.clone(), ctx.component.clone())
        });
        if !component.key_value_stores.contains(&label) {
            return Ok(Err(Error::AccessDenied));
        }
        match blocking(move || shared.stores.database()).await {
            Ok(database) => {
                let store = Store {
                    label: label.into(),
                    database,
                };
                Ok(Ok(
                    accessor.with(|mut access| access.get().table.push(store))?
                ))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let store = store_of(accessor, &store)?;
        Ok(blocking(move || store.get(&key)).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        let store = store_of(accessor, &store)?;
        Ok(blocking(move || store.change(&key, Some(&value))).await)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<(), Error>> {
        let store = store_of(accessor, &store)?;
        Ok(blocking(move || store.change(&key, None)).await)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<bool, Error>> {
        let store = store_of(accessor, &store)?;
        Ok(blocking(move || store.get(&key).map(|value| value.is_some())).await)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let store = store_of(accessor, &store)?;
        let (keys, end) = match blocking(move || store.keys()).await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async move { wasmtime::error::Ok(end) })?;
            Ok((keys, end))
        })
    }
}

impl HostStore for Ctx {
    async fn drop(&mut self, store: Resource<Store>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl Host for Ctx {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_keep_apart() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new(Some(folder.path().join("kv.redb")));
        let open = |label: &str| Store {
            label: label.into(),
            database: stores.database().unwrap(),
        };
        let (one, two) = (open("one"), open("two"));
        one.change("a", Some(b"1")).unwrap();
        one.change("b", Some(b"2")).unwrap();
        two.change("a", Some(b"3")).unwrap();
        assert_eq!(one.get("a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(two.get("b").unwrap(), None);
        assert_eq!(one.keys().unwrap(), ["a", "b"]);
        one.change("a", None).unwrap();
        assert_eq!(one.keys().unwrap(), ["b"]);
        assert_eq!(two.keys().unwrap(), ["a"]);
    }
}
