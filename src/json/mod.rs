//! Our own formats as JSON text: hosts, requests, tenants and answers.

mod answer;
mod host;
mod schema;
mod text;
mod texts;

pub use answer::{RECOMMENDATION, REFUSAL, recommendation, recommendation_on, refusal};
pub use host::{FORMAT, read_host, write_host};
pub use schema::host_schema;
pub use text::{JsonError, MAX_TEXT, format_of, read_as};
pub use texts::{read_request, read_tenant};
