//! A function's route table and the router made from it.

use crate::handler::Handler;
#[cfg(not(target_family = "wasm"))]
use crate::openapi::{DescribeFn, Document};
use crate::problem::Problem;
use crate::reply::Response;
use futures::future::LocalBoxFuture;
use http::{HeaderValue, Method, header};
use std::collections::HashMap;
use std::rc::Rc;

type Run<C> = Rc<dyn Fn(Rc<C>) -> LocalBoxFuture<'static, Result<Response, Problem>>>;

/// One route: method, path, summary, handler.
pub struct Route<C> {
    /// HTTP method.
    pub method: Method,
    /// Full path with `{parameters}`.
    pub path: String,
    /// One line for the OpenAPI document.
    pub summary: &'static str,
    // Components do not carry what only the native build of the OpenAPI document reads: half of their size.
    #[cfg(not(target_family = "wasm"))]
    describe: DescribeFn,
    streamed: bool,
    run: Run<C>,
}

/// The routes of one area. `lib.rs` of a function reads like a contents page made of these.
pub struct Routes<C> {
    /// Name of the area: the OpenAPI tag.
    pub area: &'static str,
    /// Header fields that `OPTIONS` is answered with, beside those that every area has.
    pub announced: Vec<(&'static str, &'static str)>,
    prefix: String,
    routes: Vec<Route<C>>,
}

macro_rules! methods {
    ($($name:ident = $method:ident;)*) => {
        $(
            /// Adds a route for this method; `path` is relative to the current prefix, `/` for the prefix itself.
            pub fn $name<Args, H: Handler<C, Args>>(self, path: &str, summary: &'static str, handler: H) -> Self {
                self.on(Method::$method, path, summary, handler)
            }
        )*
    };
}

impl<C: 'static> Routes<C> {
    /// An empty table for `area`, mounted at `prefix`.
    pub fn new(area: &'static str, prefix: &str) -> Self {
        Self {
            area,
            announced: Vec::new(),
            prefix: prefix.to_owned(),
            routes: Vec::new(),
        }
    }

    /// Goes on with another prefix.
    pub fn at(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    methods! {
        get = GET;
        post = POST;
        put = PUT;
        patch = PATCH;
        delete = DELETE;
    }

    fn on<Args, H: Handler<C, Args>>(
        mut self,
        method: Method,
        path: &str,
        summary: &'static str,
        handler: H,
    ) -> Self {
        let path = match path {
            "/" if !self.prefix.is_empty() => self.prefix.clone(),
            path => format!("{}{path}", self.prefix),
        };
        self.routes.push(Route {
            method,
            path,
            summary,
            #[cfg(not(target_family = "wasm"))]
            describe: H::describe,
            streamed: false,
            run: Rc::new(move |cx| handler.call(cx)),
        });
        self
    }

    /// The handler of the route before reads the body itself, piece by piece; of the others it is read first.
    pub fn streamed(mut self) -> Self {
        if let Some(route) = self.routes.last_mut() {
            route.streamed = true;
        }
        self
    }

    /// Says in the answer to `OPTIONS` what a protocol asks a server to say there.
    pub fn announce(mut self, name: &'static str, value: &'static str) -> Self {
        self.announced.push((name, value));
        self
    }

    /// Method and path of each route.
    pub fn list(&self) -> impl Iterator<Item = (&Method, &str)> {
        self.routes.iter().map(|r| (&r.method, r.path.as_str()))
    }

    /// Adds all operations to an OpenAPI document.
    #[cfg(not(target_family = "wasm"))]
    pub fn describe_into(&self, document: &mut Document) {
        for route in &self.routes {
            let method = route.method.as_str();
            document.add(
                self.area,
                method,
                &route.path,
                route.summary,
                route.describe,
            );
        }
    }
}

/// A route that fits a request.
pub struct Matched<C> {
    /// The route's path with `{parameters}`: of low cardinality, for spans and metrics.
    pub pattern: String,
    /// Values of the path parameters, percent-decoded by the caller where needed.
    pub parameters: Vec<(String, String)>,
    /// Whether the handler reads the body itself.
    pub streamed: bool,
    run: Run<C>,
}

impl<C> Matched<C> {
    /// Runs the handler.
    pub fn run(&self, cx: Rc<C>) -> LocalBoxFuture<'static, Result<Response, Problem>> {
        (self.run)(cx)
    }
}

struct Entry<C> {
    pattern: String,
    by_method: HashMap<Method, (bool, Run<C>)>,
}

/// Finds the route of a request (matchit: a radix tree; static segments win over parameters).
pub struct Router<C> {
    tree: matchit::Router<usize>,
    entries: Vec<Entry<C>>,
}

impl<C: 'static> Router<C> {
    /// Builds the router.
    ///
    /// # Panics
    /// When two routes are ambiguous: a defect of the table that the first test meets.
    pub fn new(routes: Routes<C>) -> Self {
        let mut tree = matchit::Router::new();
        let mut entries: Vec<Entry<C>> = Vec::new();
        for route in routes.routes {
            let known = entries.iter().position(|e| e.pattern == route.path);
            let index = known.unwrap_or_else(|| {
                entries.push(Entry {
                    pattern: route.path.clone(),
                    by_method: HashMap::new(),
                });
                let index = entries.len() - 1;
                tree.insert(route.path.clone(), index)
                    .unwrap_or_else(|error| panic!("{}: {error}", route.path));
                index
            });
            entries[index]
                .by_method
                .insert(route.method, (route.streamed, route.run));
        }
        Self { tree, entries }
    }

    /// The route for `method` and `path`; HEAD is served by GET, a trailing slash is ignored.
    ///
    /// Errors: 404 for an unknown path, 405 with `Allow` for an unknown method.
    pub fn find(&self, method: &Method, path: &str) -> Result<Matched<C>, Problem> {
        let path = match path.strip_suffix('/') {
            Some(rest) if !rest.is_empty() => rest,
            _ => path,
        };
        let matched = self
            .tree
            .at(path)
            .map_err(|_| Problem::not_found(format!("there is no route {path}")))?;
        let entry = &self.entries[*matched.value];
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let (streamed, run) = entry
            .by_method
            .get(wanted)
            .ok_or_else(|| not_allowed(entry))?;
        let parameters = matched.params.iter();
        Ok(Matched {
            pattern: entry.pattern.clone(),
            parameters: parameters
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            streamed: *streamed,
            run: run.clone(),
        })
    }
}

fn not_allowed<C>(entry: &Entry<C>) -> Problem {
    let mut methods: Vec<&str> = entry.by_method.keys().map(Method::as_str).collect();
    methods.sort_unstable();
    let allow = methods.join(", ");
    let problem = Problem::method_not_allowed(format!("this path takes {allow}"));
    match HeaderValue::from_str(&allow) {
        Ok(value) => problem.with_header(header::ALLOW, value.to_str().unwrap_or_default()),
        Err(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::NoContent;

    async fn nothing() -> Result<NoContent, Problem> {
        Ok(NoContent)
    }

    fn router() -> Router<()> {
        let routes = Routes::new("things", "/api/v1/things")
            .get("/", "List", nothing)
            .post("/validate", "Validate", nothing)
            .get("/{id}", "One", nothing);
        Router::new(routes)
    }

    #[test]
    fn parameters_are_taken_from_the_path() {
        let found = router().find(&Method::GET, "/api/v1/things/7").unwrap();
        assert_eq!(found.pattern, "/api/v1/things/{id}");
        assert_eq!(found.parameters, [("id".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn static_segments_win_and_trailing_slashes_do_not_matter() {
        let router = router();
        let found = router
            .find(&Method::POST, "/api/v1/things/validate")
            .unwrap();
        assert_eq!(found.pattern, "/api/v1/things/validate");
        assert!(router.find(&Method::HEAD, "/api/v1/things/").is_ok());
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        let router = router();
        let unknown = router.find(&Method::GET, "/api/v1/other").err().unwrap();
        assert_eq!(unknown.status, 404);
        let wrong = router
            .find(&Method::DELETE, "/api/v1/things")
            .err()
            .unwrap();
        assert_eq!(wrong.status, 405);
        assert_eq!(wrong.headers[0].1, "GET");
    }
}
