//! Read models beside the store: the inline queries of cqrs-es, and readers of our ledger.

use std::sync::Arc;
use std::time::Duration;

use cqrs_es::persist::{GenericQuery, PersistedEventStore, ViewRepository};
use cqrs_es::{CqrsFramework, EventEnvelope, View};
use domain::{Project, ProjectCommand, ProjectId};
use postgres_es::PostgresViewRepository;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection};

use super::ours::{self, Ours, tags};
use super::stock::Stock;
use super::subject::Subject;
use crate::support::header;

/// A read model that notes which events it has seen.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    numbers: Vec<usize>,
}

impl View<Project> for Seen {
    fn update(&mut self, event: &EventEnvelope<Project>) {
        self.numbers.push(event.sequence);
    }
}

type Framework = CqrsFramework<Project, PersistedEventStore<postgres_es::PostgresEventRepository, Project>>;

/// The stock framework with that read model as an inline query, and a project that has one event.
async fn framework(stock: &Stock) -> (Arc<Framework>, ProjectId) {
    let views = Arc::new(PostgresViewRepository::<Seen, Project>::new("stock.seen", stock.pool.clone()));
    let store = PersistedEventStore::new_event_store(stock.repository());
    let framework = CqrsFramework::new(store, vec![Box::new(GenericQuery::new(views))], ());
    let project = ProjectId::generate();
    let create = ProjectCommand::Create { owner: stock.owner, header: header("Dairy") };
    framework.execute(&project.to_string(), create).await.unwrap();
    (Arc::new(framework), project)
}

async fn seen(stock: &Stock, project: ProjectId) -> String {
    let views = PostgresViewRepository::<Seen, Project>::new("stock.seen", stock.pool.clone());
    let seen = views.load(&project.to_string()).await.unwrap().unwrap().numbers.len();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM stock.events").fetch_one(&stock.pool).await.unwrap();
    format!("{seen} of {stored} events read in the end")
}

/// Waits until so many connections wait for a lock.
async fn waiting(superuser: &mut PgConnection, connections: i64) {
    testkit::wait_until(Duration::from_secs(10), async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut *superuser)
        .await
        .unwrap();
        (waiting == connections).then_some(())
    })
    .await;
}

pub async fn stock_cancelled(stock: &Stock) -> String {
    let (framework, project) = framework(stock).await;
    let (mut superuser, mut blocking) = (stock.superuser().await, stock.superuser().await);
    let mut lock = blocking.begin().await.unwrap();
    lock.execute("LOCK TABLE stock.seen IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let owner = stock.owner;
    let request = tokio::spawn(async move {
        framework.execute(&project.to_string(), tags(owner, vec!["new".to_owned()])).await.unwrap();
    });
    waiting(&mut superuser, 1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    lock.rollback().await.unwrap();
    seen(stock, project).await
}

pub async fn stock_contended(stock: &Stock) -> String {
    let (framework, project) = framework(stock).await;
    let (mut superuser, mut blocking) = (stock.superuser().await, stock.superuser().await);
    let mut lock = blocking.begin().await.unwrap();
    lock.execute("SELECT FROM stock.seen FOR UPDATE").await.unwrap();
    let mut requests = Vec::new();
    for n in 1..=2 {
        let (framework, command) = (Arc::clone(&framework), tags(stock.owner, vec![n.to_string()]));
        requests.push(tokio::spawn(async move { framework.execute(&project.to_string(), command).await.unwrap() }));
        waiting(&mut superuser, n).await;
    }
    lock.rollback().await.unwrap();
    for request in requests {
        request.await.unwrap();
    }
    seen(stock, project).await
}

/// A read model of our ledger: what it has seen, and up to where. It keeps both together or neither.
#[derive(Default)]
struct Reader {
    seen: usize,
    position: u64,
}

impl Reader {
    async fn catch_up(&mut self, ours: &Ours) {
        for row in ours.world.store.ledger(self.position, 100).await.unwrap() {
            row.recorded.unwrap();
            (self.seen, self.position) = (self.seen + 1, row.position);
        }
    }

    async fn finish(mut self, ours: &Ours) -> String {
        let stored = ours.world.settled().await;
        self.catch_up(ours).await;
        format!("{} of {stored} events read in the end", self.seen)
    }
}

pub async fn ours_cancelled(ours: &Ours) -> String {
    let project = ours::project(ours).await;
    let mut reader = Reader::default();
    ours.world.settled().await;
    reader.catch_up(ours).await;
    assert_eq!(reader.seen, 1);
    // The table of the ledger is out of reach when the request is cancelled, so nobody can have read its event.
    let (mut superuser, mut blocking) = (ours.superuser().await, ours.superuser().await);
    let mut lock = blocking.begin().await.unwrap();
    lock.execute("LOCK TABLE es.ledger IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (store, owner) = (ours.world.store.clone(), ours.owner);
    let request = tokio::spawn(async move {
        let committed =
            crate::support::tag(&store, crate::support::context(owner), owner, vec![project], "new".to_owned()).await;
        store.settle(&committed.unwrap(), Duration::from_secs(60)).await;
    });
    testkit::wait_until(Duration::from_secs(10), async || {
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM es.events").fetch_one(&mut superuser).await.unwrap();
        (stored == 2).then_some(())
    })
    .await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    lock.rollback().await.unwrap();
    reader.finish(ours).await
}

pub async fn ours_contended(ours: &Ours) -> String {
    let project = ours::project(ours).await;
    let (one, two) = tokio::join!(ours.add_tags(project, &["1"], None), ours.add_tags(project, &["2"], None));
    one.unwrap();
    two.unwrap();
    Reader::default().finish(ours).await
}
