//! The service in process, on real servers.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod front;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod support;
