//! What is asked of both stores in the same words.

use domain::{ProjectId, ProposalId};
use serde_json::json;
use sqlx::{Executor, Row};

use super::subject::{Failure, Gate, Subject};

async fn project<S: Subject>(subject: &S) -> ProjectId {
    let project = ProjectId::generate();
    subject.create(project, "Dairy").await.unwrap();
    project
}

async fn tags<S: Subject>(subject: &S, project: ProjectId) -> Vec<String> {
    subject.state(project).await.unwrap().open().unwrap().header.tags.clone()
}

/// The number of a stream's last event, and how many it has.
async fn last<S: Subject>(subject: &S, project: ProjectId) -> (i64, i64) {
    sqlx::query_as(&format!("SELECT max(sequence), count(*) FROM {} WHERE aggregate_id = $1", S::EVENTS))
        .bind(project.to_string())
        .fetch_one(&mut subject.superuser().await)
        .await
        .unwrap()
}

/// Appends an event by SQL that changes tags only, as the table's owner can.
async fn plant<S: Subject>(subject: &S, project: ProjectId, sequence: i64, event_type: &str) {
    let payload = json!({"type": event_type, "changes": [{"field": "tags", "old": [], "new": ["planted"]}]});
    sqlx::query(&format!(
        "INSERT INTO {table} (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT aggregate_type, aggregate_id, $2, $3, event_version, $4, metadata FROM {table}
         WHERE aggregate_id = $1 ORDER BY sequence LIMIT 1",
        table = S::EVENTS
    ))
    .bind(project.to_string())
    .bind(sequence)
    .bind(event_type)
    .bind(payload)
    .execute(&mut subject.superuser().await)
    .await
    .unwrap();
}

pub async fn batch<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    let mut superuser = subject.superuser().await;
    superuser
        .execute(
            format!(
                "CREATE SEQUENCE public.statements START 1;
                 GRANT ALL ON SEQUENCE public.statements TO PUBLIC;
                 CREATE FUNCTION public.count_statement() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN PERFORM nextval('public.statements'); RETURN NULL; END $$;
                 CREATE TRIGGER count_statements AFTER INSERT ON {}
                     FOR EACH STATEMENT EXECUTE FUNCTION public.count_statement()",
                S::EVENTS
            )
            .as_str(),
        )
        .await
        .unwrap();
    subject.add_tags(project, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"], None).await.unwrap();
    let statements: i64 = superuser.fetch_one("SELECT last_value FROM public.statements").await.unwrap().get(0);
    let (_, events) = last(subject, project).await;
    format!("{} events in {statements} statement{}", events - 1, if statements == 1 { "" } else { "s" })
}

pub async fn constraint<S: Subject>(subject: &S) -> String {
    let sql = format!("CREATE UNIQUE INDEX one_name ON {} ((payload->>'name'))", S::EVENTS);
    subject.superuser().await.execute(sql.as_str()).await.unwrap();
    subject.create(ProjectId::generate(), "Dairy").await.unwrap();
    match subject.create(ProjectId::generate(), "Dairy").await {
        Err(Failure::Constraint(name)) => format!("named: {name}"),
        Err(Failure::Conflict) => "taken for a conflict".to_owned(),
        other => format!("{other:?}"),
    }
}

pub async fn overtaken<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    let gate: &'static Gate = Box::leak(Box::default());
    let (result, ()) = tokio::join!(subject.add_tags(project, &["mine"], Some(gate)), async {
        gate.loaded.notified().await;
        subject.add_tags(project, &["other"], None).await.unwrap();
        gate.go_on.notify_one();
    });
    let outcome = match result {
        Ok(()) => "carried out on what the other left",
        Err(Failure::Conflict) => "refused as a conflict",
        Err(other) => return format!("{other:?}"),
    };
    format!("{outcome}: {}", tags(subject, project).await.join(", "))
}

pub async fn shorter_stream<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    subject.add_tags(project, &["a", "b"], None).await.unwrap();
    subject.unlock().await;
    let gate: &'static Gate = Box::leak(Box::default());
    let (result, ()) = tokio::join!(subject.add_tags(project, &["mine"], Some(gate)), async {
        gate.loaded.notified().await;
        let sql = format!("DELETE FROM {} WHERE sequence > 1", S::EVENTS);
        subject.superuser().await.execute(sql.as_str()).await.unwrap();
        gate.go_on.notify_one();
    });
    result.unwrap();
    let (number, count) = last(subject, project).await;
    format!("appended as number {number} of {count}{}", if number == count { "" } else { ", behind a gap" })
}

pub async fn beyond_i32<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    plant(subject, project, i64::from(i32::MAX), "project-details-changed").await;
    match subject.add_tags(project, &["next"], None).await {
        Ok(()) => format!("appended as number {}", last(subject, project).await.0),
        Err(_) => "failed".to_owned(),
    }
}

pub async fn prepared_statements<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    let first = subject.tail(project, 0).await;
    let mut last = first;
    for after in 1..50 {
        last = subject.tail(project, after).await;
    }
    assert!(0 < first, "the statement is found by its text");
    format!("{} more prepared statements", last - first)
}

pub async fn unreadable_event<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    plant(subject, project, 2, "project-frozen").await;
    plant(subject, project, 3, "project-details-changed").await;
    let reading = subject.read_all(async || ()).await;
    let end = match reading.end {
        Ok(()) => "no error".to_owned(),
        Err(Failure::Unreadable(number)) => format!("an error that names number {number}"),
        Err(other) => format!("{other:?}"),
    };
    // Where the one stream is loaded, both refuse.
    assert!(subject.state(project).await.is_err());
    format!("{} of 3 events, and {end}", reading.events.len())
}

pub async fn dying_connection<S: Subject>(subject: &S) -> String {
    const EVENTS: usize = 6_000;
    project(subject).await;
    let mut superuser = subject.superuser().await;
    // More than the buffers between server and reader hold.
    sqlx::query(&format!(
        "INSERT INTO {table} (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT aggregate_type, aggregate_id, n, 'project-details-changed', event_version,
                json_build_object('type', 'project-details-changed', 'changes', json_build_array(json_build_object(
                    'field', 'schedule_summary', 'old', '', 'new', repeat('x', 2000)))), metadata
         FROM {table}, generate_series(2, $1) n WHERE sequence = 1",
        table = S::EVENTS
    ))
    .bind(i64::try_from(EVENTS).unwrap())
    .execute(&mut superuser)
    .await
    .unwrap();
    let reading = subject
        .read_all(async || {
            let mut superuser = subject.superuser().await;
            superuser
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                )
                .await
                .unwrap();
        })
        .await;
    match (reading.events.len() == EVENTS, reading.end) {
        (true, Ok(())) => "every event".to_owned(),
        (false, Ok(())) => "not every event, and no error".to_owned(),
        (_, Err(other)) => format!("{other:?}"),
    }
}

pub async fn order<S: Subject>(subject: &S) -> String {
    let (a, b) = (project(subject).await, ProjectId::generate());
    subject.add_tags(a, &["later"], None).await.unwrap();
    subject.create(b, "Brewery").await.unwrap();
    let reading = subject.read_all(async || ()).await;
    reading.end.unwrap();
    let name = |(project, number): &(ProjectId, u64)| format!("{}{number}", if *project == a { 'A' } else { 'B' });
    reading.events.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub async fn several_streams<S: Subject>(subject: &S) -> String {
    let (project, proposal) = (ProjectId::generate(), ProposalId::generate());
    subject.create_with_proposal(project, proposal).await.unwrap();
    let kinds: Vec<(String, String)> = sqlx::query_as(&format!(
        "SELECT aggregate_type, aggregate_id FROM {} ORDER BY sequence, aggregate_id",
        S::EVENTS
    ))
    .fetch_all(&mut subject.superuser().await)
    .await
    .unwrap();
    let kind = |id: String| kinds.iter().find(|(_, stored)| *stored == id).map(|(kind, _)| kind.as_str());
    match (kind(project.to_string()), kind(proposal.to_string())) {
        (Some("project"), Some("proposal")) => "each in its own stream".to_owned(),
        (Some("project"), Some("project")) => "the proposal's event stored as a project's".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A project with 61 events, the last 60 of one command, and the snapshot that is due by then.
async fn with_snapshot<S: Subject>(subject: &S) -> ProjectId {
    let project = project(subject).await;
    let tags: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    subject.add_tags(project, &tags.iter().map(String::as_str).collect::<Vec<_>>(), None).await.unwrap();
    project
}

pub async fn applied_once<S: Subject>(subject: &S) -> String {
    let project = with_snapshot(subject).await;
    let state = subject.state(project).await.unwrap();
    let tags = state.open().unwrap().header.tags.len();
    format!("has seen {} events, and has {tags} of 60 tags", state.version)
}

pub async fn foreign_snapshot<S: Subject>(subject: &S) -> String {
    let project = with_snapshot(subject).await;
    subject.plant_foreign_snapshot(project).await;
    match tags(subject, project).await.len() {
        60 => "ignored".to_owned(),
        0 => "believed".to_owned(),
        other => format!("{other} tags"),
    }
}

pub async fn repeated<S: Subject>(subject: &S) -> String {
    let project = project(subject).await;
    let result = subject.add_tag_twice(project, "once").await;
    match (result, tags(subject, project).await.len()) {
        (Err(Failure::AlreadyDone), 1) => "one effect".to_owned(),
        (Ok(()), 2) => "two effects".to_owned(),
        other => format!("{other:?}"),
    }
}

pub async fn personal<S: Subject>(subject: &S) -> String {
    project(subject).await;
    let sql = format!("SELECT payload::text FROM {}", S::EVENTS);
    let stored: String = subject.superuser().await.fetch_one(sql.as_str()).await.unwrap().get(0);
    // The client's name, as `support::header` gives it.
    if stored.contains("Aguas del Sur") { "readable in the table" } else { "sealed" }.to_owned()
}
