//! Tables' columns as the areas read them: the same names as in SQL. What one area reads alone, it declares itself with
//! [`columns!`](crate::columns).

/// Declares a table's columns: `columns! { /// Doc. secrets_vault { id: Uuid, name: Text, } }`.
#[macro_export]
macro_rules! columns {
    ($(#[$doc:meta])* $module:ident { $($name:ident: $ty:ident,)* }) => {
        $(#[$doc])*
        #[allow(missing_docs)]
        pub mod $module {
            use $crate::{Column, Ty};
            /// The table's name.
            pub const TABLE: &str = stringify!($module);
            $(#[allow(non_upper_case_globals)]
            pub const $name: Column = Column::new(stringify!($name), Ty::$ty);)*
        }
    };
}

columns! {
    /// Workflow documents, current version.
    workflows {
        id: Uuid, org_id: Uuid, name: Text, description: Text, definition: Json, version: Int, tags: TextArray,
        folder: Text, archived_at: Time, created_by: Uuid, created_at: Time, updated_at: Time, deleted_at: Time,
    }
}

columns! {
    /// Executions, running and ended.
    execution_queue {
        id: Uuid, org_id: Uuid, workflow_id: Uuid, workflow_version: Int, deployment_id: Uuid, deployment_version: Int,
        environment: Text, forked_from: Uuid, forked_node: Text, trace_id: Text, status: Text, mode: Text,
        inputs: Json, outputs: Json, error: Json, prompt_tokens: Int, completion_tokens: Int, cost_pusd: Int,
        created_at: Time, started_at: Time, finished_at: Time,
    }
}

columns! {
    /// One row per trace.
    traces {
        org_id: Uuid, trace_id: Text, day: Date, name: Text, kind: Text, status: Text, started_at: Time,
        duration_us: Int, execution_id: Uuid, workflow_id: Uuid, user_id: Uuid, span_count: Int, prompt_tokens: Int,
        completion_tokens: Int, cost_pusd: Int, error: Json, attributes: Json,
    }
}
