//! What is free on a host with its tenants: the one definition that everybody else asks.

pub(crate) mod devices;
pub(crate) mod gpus;
pub(crate) mod pages;
pub(crate) mod pcpus;

pub(crate) use devices::{bundle, holder};
pub(crate) use pages::FreePages;
pub(crate) use pcpus::FreePcpus;
