//! The service in process, on real servers.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod data;
#[cfg(test)]
mod front;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod process;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod proposals;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod session;
#[cfg(test)]
mod support;
#[cfg(test)]
mod timeline;
