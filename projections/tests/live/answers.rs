//! Reads, and the answers to writes: what they contain, and how long they wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use domain::project::{HeaderPatch, Status};
use domain::proposal::FailureCode;
use domain::{AccountId, ProjectCommand, ProjectId};
use projections::{Ahead, Page, ProjectDetail, ProjectFilter, ProposalStatus, Reader, Runner};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::world::{AMPLE, World};

fn everything() -> ProjectFilter {
    ProjectFilter { page: 1, size: 100, search: None, status: None, sector: None }
}

#[tokio::test]
async fn a_reader_whose_writes_are_not_contained_waits_and_is_told() {
    let world = World::new().await;
    let reached = world.catch_up().await;
    let project = world.create(world.ana, "North plant").await;

    let patience = Duration::from_millis(120);
    let began = Instant::now();
    let ana = Reader { within: patience, ..world.ana() };
    let answer = world.views.project(&ana, project).await.unwrap();
    assert!(patience <= began.elapsed() && began.elapsed() < AMPLE);
    assert!(answer.value.is_none() && answer.freshness.behind);
    assert_eq!(answer.freshness.position, reached, "the true position, below the write's");

    // Somebody else misses nothing and does not wait.
    let other = Reader { account: AccountId::generate(), min_position: None, within: AMPLE };
    let answer = world.views.projects(&other, &everything()).await.unwrap();
    assert!(!answer.freshness.behind && answer.value.items.is_empty());
    // But whoever names a position does.
    let named = Reader { min_position: Some(reached + 1), within: patience, ..other };
    assert!(world.views.wait_for(&named).await.unwrap().behind);
}

#[tokio::test]
async fn a_reader_sees_its_own_write_as_soon_as_the_runner_has_it() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(Runner::new(world.store.clone()).run(cancel.clone()));
    let ana = Reader { within: AMPLE, ..world.ana() };
    let project = world.create(world.ana, "Plant 0").await;
    for n in 1..20 {
        let name = format!("Plant {n}");
        world.rename(project, &name).await;
        let detail = world.views.project_detail(&ana, project).await.unwrap();
        assert!(!detail.freshness.behind);
        assert_eq!(detail.value.unwrap().document.project.name, name);
    }
    cancel.cancel();
    running.await.unwrap();
}

/// Compares the answer to a write, made while nothing is projected, with a read after everything was.
async fn same_before_and_after(world: &World, project: ProjectId) {
    let unsequenced = world.views.current_project_detail(world.ana, project).await.unwrap().unwrap();
    world.sequenced().await;
    let current = world.views.current_project_detail(world.ana, project).await.unwrap().unwrap();
    let data = world.views.current_project_data(world.ana, project).await.unwrap().unwrap();
    world.catch_up().await;
    let read = world.views.project_detail(&world.ana(), project).await.unwrap().value.unwrap();
    let read_data = world.views.project_data(&world.ana(), project).await.unwrap().value.unwrap();
    let again = world.views.current_project_detail(world.ana, project).await.unwrap().unwrap();
    assert_eq!(unsequenced.value, read.document);
    assert_eq!((current.value, current.changed.position()), (read.document.clone(), Some(read.position)));
    assert_eq!((again.value, again.changed.position()), (read.document, Some(read.position)));
    assert_eq!((data.value, data.changed.position()), (read_data.document, Some(read_data.position)));
}

#[tokio::test]
async fn an_answer_to_a_write_is_what_a_read_will_say_however_far_the_read_models_lag() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    same_before_and_after(&world, project).await;
    for n in 0..12 {
        world.pass(TimeDelta::minutes(10));
        world.edit(project, json!({"notes": n, "keep": {"n": n}})).await;
    }
    same_before_and_after(&world, project).await;
    let first = world.generate(project).await;
    same_before_and_after(&world, project).await;
    world.work(first).await;
    world.publish(project, first).await;
    same_before_and_after(&world, project).await;
    let second = world.generate(project).await;
    world.work(second).await;
    world.publish(project, second).await;
    let failed = world.generate(project).await;
    world.fail(project, failed, FailureCode::AiTimeout).await;
    same_before_and_after(&world, project).await;
    world.project(world.ana, project, ProjectCommand::DeleteProposal { by: world.ana, proposal: first }).await;
    same_before_and_after(&world, project).await;

    let detail = world.views.project_detail(&world.ana(), project).await.unwrap().value.unwrap().document;
    let ProjectDetail { project: header, proposals, timeline } = detail;
    let saved: Vec<_> = proposals.iter().map(|p| (p.id, p.version.as_str(), p.status, p.document.capex)).collect();
    assert_eq!(saved, [(second, "v1.1", ProposalStatus::Draft, 210_000.0)]);
    assert_eq!((header.proposals_count, header.status), (1, Status::ProposalReady));
    assert_eq!(timeline.len(), 10);
    let told: Vec<_> = timeline.iter().take(3).map(|line| (line.entry.title.as_str(), line.user.as_str())).collect();
    let (ana, machine) = ("ana.torres@example.com", "H2O Allegiant AI");
    let expected = [("Proposal deleted", ana), ("Proposal generation failed", machine), ("Proposal requested", ana)];
    assert_eq!(told, expected);

    world.delete(project).await;
    assert!(world.views.current_project_detail(world.ana, project).await.unwrap().is_none());
    assert!(world.views.current_project_data(world.ana, project).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_and_its_proposals_always_fit_together() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(Runner::new(world.store.clone()).run(cancel.clone()));
    let project = world.create(world.ana, "North plant").await;
    let most = Arc::new(AtomicUsize::new(0));
    let looking = {
        let (views, ana, cancel, most) = (world.views.clone(), world.ana(), cancel.clone(), Arc::clone(&most));
        let look = move |detail: ProjectDetail| {
            assert_eq!(detail.project.proposals_count as usize, detail.proposals.len());
            let generating = detail.project.status == Status::GeneratingProposal;
            assert_eq!(generating, detail.project.active_proposal.is_some());
            let told = detail.timeline.iter().filter(|line| line.entry.title == "Proposal generated").count();
            assert!(detail.proposals.len() <= told, "each proposal is told of");
            most.fetch_max(detail.proposals.len(), Ordering::SeqCst);
        };
        tokio::spawn(async move {
            while !cancel.is_cancelled() {
                let current = views.current_project_detail(ana.account, project).await.unwrap().unwrap();
                look(current.value);
                if let Some(read) = views.project_detail(&ana, project).await.unwrap().value {
                    look(read.document);
                }
            }
        })
    };
    let mut saved = Vec::new();
    for _ in 0..3 {
        let proposal = world.generate(project).await;
        world.work(proposal).await;
        world.publish(project, proposal).await;
        saved.push(proposal);
    }
    testkit::wait_until(AMPLE, async || (most.load(Ordering::SeqCst) == 3).then_some(())).await;
    for proposal in saved {
        world.project(world.ana, project, ProjectCommand::DeleteProposal { by: world.ana, proposal }).await;
    }
    cancel.cancel();
    looking.await.unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn someone_elses_project_looks_like_none_at_all() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    let proposal = world.generate(project).await;
    world.work(proposal).await;
    world.publish(project, proposal).await;
    world.catch_up().await;
    let eve = Reader { account: AccountId::generate(), ..world.ana() };
    let views = &world.views;
    let page = Page::first(100);
    assert!(views.project(&world.ana(), project).await.unwrap().value.is_some());
    assert!(views.project(&eve, project).await.unwrap().value.is_none());
    assert!(views.project_data(&eve, project).await.unwrap().value.is_none());
    assert!(views.project_detail(&eve, project).await.unwrap().value.is_none());
    assert!(views.proposal(&world.ana(), project, proposal).await.unwrap().value.is_some());
    assert!(views.proposal(&eve, project, proposal).await.unwrap().value.is_none());
    assert!(views.proposal(&world.ana(), ProjectId::generate(), proposal).await.unwrap().value.is_none());
    assert!(views.proposals(&eve, project, None, page).await.unwrap().value.is_none());
    assert!(views.timeline(&eve, project, page).await.unwrap().value.is_none());
    assert!(views.job(eve.account, proposal).await.unwrap().is_none());
    assert!(views.jobs(&eve, None, Some(project), page).await.unwrap().value.0.is_empty());
    assert!(views.current_project_detail(eve.account, project).await.unwrap().is_none());
    assert!(views.current_project_data(eve.account, project).await.unwrap().is_none());
}

#[tokio::test]
async fn the_list_filters_searches_and_counts() {
    let world = World::new().await;
    let north = world.create(world.ana, "North 50% plant").await;
    let south = world.create(world.ana, "South plant").await;
    let patch = HeaderPatch { sector: Some("municipal".to_owned()), ..HeaderPatch::default() };
    let change = ProjectCommand::Change { by: world.ana, patch, status: Some(Status::OnHold), expected: None };
    world.project(world.ana, south, change).await;
    world.rename(north, "North 50% plant ÁB").await;
    world.catch_up().await;

    let list = async |filter: ProjectFilter| {
        let page = world.views.projects(&world.ana(), &filter).await.unwrap().value;
        (page.items.iter().map(|found| found.document.id).collect::<Vec<_>>(), page.total)
    };
    assert_eq!(list(everything()).await, (vec![north, south], 2), "last changed first");
    assert_eq!(list(ProjectFilter { size: 1, page: 2, ..everything() }).await, (vec![south], 2));
    assert_eq!(list(ProjectFilter { page: 9, ..everything() }).await, (vec![], 2), "past the end is empty");
    for (text, expected) in
        [("áb", vec![north]), ("50%", vec![north]), ("5%t", vec![]), ("méxico", vec![north, south]), ("quartz", vec![])]
    {
        let found = list(ProjectFilter { search: Some(text.to_owned()), ..everything() }).await;
        assert_eq!(found, (expected.clone(), expected.len() as u64), "{text}");
    }
    assert_eq!(list(ProjectFilter { status: Some(Status::OnHold), ..everything() }).await.0, [south]);
    assert_eq!(list(ProjectFilter { sector: Some("industrial".to_owned()), ..everything() }).await.0, [north]);

    let stats = world.views.project_stats(&world.ana()).await.unwrap().value;
    let stages: Vec<_> = stats.stages.iter().map(|stage| (stage.status, stage.count)).collect();
    assert_eq!(stages, [(Status::InPreparation, 1), (Status::OnHold, 1)]);
    assert_eq!((stats.total_projects, stats.avg_progress, stats.total_budget_usd), (2, 0, 2_000.5));
    assert_eq!(stats.list_position, world.store.head().await.unwrap());

    let nobody = Reader { account: AccountId::generate(), ..world.ana() };
    let none = world.views.project_stats(&nobody).await.unwrap().value;
    assert_eq!((none.stages.len(), none.total_projects, none.last_updated, none.list_position), (0, 0, None, 0));
}

#[tokio::test]
async fn the_position_of_the_list_moves_with_a_deletion_and_not_with_somebody_elses_change() {
    let world = World::new().await;
    let project = world.create(world.ana, "North plant").await;
    world.catch_up().await;
    let position = async || world.views.projects(&world.ana(), &everything()).await.unwrap().value.list_position;
    let before = position().await;
    let bea = AccountId::generate();
    world.register(bea, "bea@example.com").await;
    world.create(bea, "Elsewhere").await;
    world.catch_up().await;
    assert_eq!(position().await, before);
    world.delete(project).await;
    let head = world.catch_up().await;
    assert_eq!(position().await, head);
}

#[tokio::test]
async fn pages_of_the_timeline_and_of_proposals_follow_each_other_without_gap_or_overlap() {
    let world = World::new().await;
    let project = world.create(world.ana, "Plant 0").await;
    for n in 1..8 {
        world.rename(project, &format!("Plant {n}")).await;
    }
    let mut saved = Vec::new();
    for _ in 0..3 {
        let proposal = world.generate(project).await;
        world.work(proposal).await;
        world.publish(project, proposal).await;
        saved.insert(0, proposal);
    }
    world.catch_up().await;
    let ana = world.ana();

    let whole = world.views.timeline(&ana, project, Page::first(100)).await.unwrap().value.unwrap();
    assert_eq!(whole.len(), 1 + 7 + 2 * 3);
    let (mut paged, mut page) = (Vec::new(), Page::first(4));
    loop {
        let lines = world.views.timeline(&ana, project, page).await.unwrap().value.unwrap();
        let Some(last) = lines.last() else { break };
        page.before = Some((last.entry.began_at, last.entry.id));
        paged.extend(lines);
    }
    assert_eq!(paged, whole);

    let (mut paged, mut page) = (Vec::new(), Page::first(2));
    loop {
        let found =
            world.views.proposals(&ana, project, Some(ProposalStatus::Draft), page).await.unwrap().value.unwrap();
        let Some(last) = found.last() else { break };
        page = Page::after_proposal(2, last.document.created_at, last.document.id);
        paged.extend(found.into_iter().map(|found| found.document.id));
    }
    assert_eq!(paged, saved);
    let archived = world.views.proposals(&ana, project, Some(ProposalStatus::Archived), Page::first(9)).await.unwrap();
    assert_eq!(archived.value, Some(vec![]));
}

#[tokio::test]
async fn an_account_is_there_at_once_and_its_address_by_its_id() {
    let world = World::new().await;
    let mut connection = world.store.pool().acquire().await.unwrap();
    let current = world.views.account_ahead(Ahead::nothing(&mut connection), world.ana).await;
    let current = current.unwrap().unwrap().value;
    assert_eq!((current.email.as_str(), current.version, current.is_active), ("ana.torres@example.com", 1, true));
    assert!(world.views.account(&world.ana(), world.ana).await.unwrap().value.is_none());
    world.catch_up().await;
    let found = world.views.account(&world.ana(), world.ana).await.unwrap().value.unwrap();
    assert_eq!((found.document, found.position), (current, 1));
    let emails = world.views.emails(&[world.ana, AccountId::generate()]).await.unwrap();
    assert_eq!(emails.into_iter().collect::<Vec<_>>(), [(world.ana, "ana.torres@example.com".to_owned())]);
}
