//! The typed read: one table, filters, order, limit. Both adapters render it.

/// The SQL type of a column, needed to cast text parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `bigint`
    Int,
    /// `boolean`
    Bool,
    /// `timestamptz`, RFC 3339
    Time,
    /// `date`
    Date,
    /// `text[]`
    TextArray,
    /// `uuid[]`
    UuidArray,
    /// `cidr[]`
    CidrArray,
    /// `jsonb`
    Json,
}

impl Ty {
    /// The type's SQL name.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Int => "bigint",
            Self::Bool => "boolean",
            Self::Time => "timestamptz",
            Self::Date => "date",
            Self::TextArray => "text[]",
            Self::UuidArray => "uuid[]",
            Self::CidrArray => "cidr[]",
            Self::Json => "jsonb",
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
}

impl Column {
    /// A column; made by [`columns!`](crate::columns).
    pub const fn new(name: &'static str, ty: Ty) -> Self {
        Self { name, ty }
    }
}

/// A condition on rows. Values are text; the adapters cast or quote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// column = value
    Eq(Column, String),
    /// column <> value
    Ne(Column, String),
    /// column < value
    Lt(Column, String),
    /// column <= value
    Lte(Column, String),
    /// column > value
    Gt(Column, String),
    /// column >= value
    Gte(Column, String),
    /// column is one of the values
    In(Column, Vec<String>),
    /// column IS NULL
    IsNull(Column),
    /// column IS NOT NULL
    NotNull(Column),
    /// column contains the text, ignoring case
    ContainsText(Column, String),
    /// array column contains the element
    HasElement(Column, String),
    /// all of them
    And(Vec<Filter>),
    /// any of them
    Or(Vec<Filter>),
}

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Asc(Column),
    /// Largest first.
    Desc(Column),
}

/// A read of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The table.
    pub table: &'static str,
    /// The columns wanted.
    pub columns: &'static [Column],
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Order, first key first.
    pub order: Vec<Order>,
    /// At most this many rows.
    pub limit: u32,
}

impl Select {
    /// Reads `columns` of `table`, one row unless [`Select::limit`] says otherwise.
    pub fn from(table: &'static str, columns: &'static [Column]) -> Self {
        Self {
            table,
            columns,
            filters: Vec::new(),
            order: Vec::new(),
            limit: 1,
        }
    }

    /// Adds a condition.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds a condition when there is one.
    pub fn filter_if(self, filter: Option<Filter>) -> Self {
        match filter {
            Some(filter) => self.filter(filter),
            None => self,
        }
    }

    /// Newest first by `at`, then by `id`, behind the row (`at`, `id`) when a page goes on.
    pub fn page(
        mut self,
        at: Column,
        id: Column,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Self {
        if let Some((at_value, id_value)) = after {
            self.filters.push(Filter::Lte(at, at_value.clone()));
            self.filters.push(Filter::Or(vec![
                Filter::Lt(at, at_value),
                Filter::Lt(id, id_value),
            ]));
        }
        self.order = vec![Order::Desc(at), Order::Desc(id)];
        self.limit = limit;
        self
    }

    /// Smallest `key` first, then by `id`, behind the row (`key`, `id`) when a page goes on.
    pub fn ascending(
        mut self,
        key: Column,
        id: Column,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Self {
        if let Some((key_value, id_value)) = after {
            self.filters.push(Filter::Gte(key, key_value.clone()));
            self.filters.push(Filter::Or(vec![
                Filter::Gt(key, key_value),
                Filter::Gt(id, id_value),
            ]));
        }
        self.order = vec![Order::Asc(key), Order::Asc(id)];
        self.limit = limit;
        self
    }

    /// Newest first by a UUIDv7 `id`, behind `after` when a page goes on.
    pub fn newest(mut self, id: Column, after: Option<String>, limit: u32) -> Self {
        self.filters
            .extend(after.map(|value| Filter::Lt(id, value)));
        self.order = vec![Order::Desc(id)];
        self.limit = limit;
        self
    }
}
