use domain::{AccountId, ProjectId};
use eventstore::{Claim, ExecuteError};
use uuid::Uuid;

use crate::support::{Outcome, Stop, World, context, create_as, world};

async fn claim(world: &World, claims: Vec<Claim>) -> Outcome<()> {
    world
        .store
        .execute(context(AccountId::generate()), move |session| {
            let claims = claims.clone();
            Box::pin(async move {
                claims.into_iter().for_each(|claim| session.claim(claim));
                Ok(())
            })
        })
        .await
}

fn take(key: &str, holder: Uuid) -> Claim {
    Claim::Take { kind: "email", key: key.as_bytes().to_vec(), holder }
}

#[tokio::test]
async fn only_one_of_many_takes_a_claim() {
    let world = world().await;
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let store = world.store.clone();
        sent.spawn(async move {
            let owner = AccountId::generate();
            store
                .execute(context(owner), move |session| {
                    Box::pin(async move {
                        session.claim(take("ana", owner.as_uuid()));
                        session.load::<domain::Project>(owner.as_uuid()).await?;
                        let command =
                            domain::ProjectCommand::Create { owner, header: crate::support::header("Claimed") };
                        session.handle::<domain::Project>(owner.as_uuid(), owner, command)?;
                        Ok::<_, Stop>(())
                    })
                })
                .await
        });
    }
    let outcomes = sent.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Err(ExecuteError::Claimed("email")))).count(), 11);
    assert_eq!(world.count("SELECT count(*) FROM es.events").await, 1, "the others wrote nothing");
}

#[tokio::test]
async fn a_claim_is_free_again_after_its_holder_released_it() {
    let world = world().await;
    let (ana, ben) = (Uuid::now_v7(), Uuid::now_v7());
    claim(&world, vec![take("x", ana)]).await.unwrap();
    claim(&world, vec![take("x", ana)]).await.unwrap();
    let key = b"x".to_vec();
    claim(&world, vec![Claim::Release { kind: "email", key: key.clone(), holder: ben }]).await.unwrap();
    assert!(matches!(claim(&world, vec![take("x", ben)]).await, Err(ExecuteError::Claimed("email"))));
    claim(&world, vec![Claim::Release { kind: "email", key, holder: ana }]).await.unwrap();
    claim(&world, vec![take("x", ben)]).await.unwrap();
    let holder = world
        .store
        .execute(context(AccountId::generate()), |session| {
            Box::pin(async move { Ok::<_, Stop>(session.holder("email", b"x").await?) })
        })
        .await
        .unwrap();
    assert_eq!(holder.value, Some(ben));
}

#[tokio::test]
async fn five_places_are_given_out_five_times() {
    let world = world().await;
    let keys: Vec<Vec<u8>> = (0..5).map(|slot| vec![1, slot]).collect();
    let holders: Vec<Uuid> = (0..9).map(|_| Uuid::now_v7()).collect();
    let mut sent = tokio::task::JoinSet::new();
    for holder in holders {
        let (store, keys) = (world.store.clone(), keys.clone());
        sent.spawn(async move {
            let outcome = store
                .execute(context(AccountId::generate()), move |session| {
                    let keys = keys.clone();
                    Box::pin(async move {
                        session.claim(Claim::TakeOneOf { kind: "job-slot", keys, holder });
                        Ok::<_, Stop>(())
                    })
                })
                .await;
            (holder, outcome)
        });
    }
    let outcomes = sent.join_all().await;
    let (took, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!((took.len(), refused.len()), (5, 4));
    assert!(refused.iter().all(|(_, outcome)| matches!(outcome, Err(ExecuteError::Claimed("job-slot")))));
    let again = |holder| vec![Claim::TakeOneOf { kind: "job-slot", keys: keys.clone(), holder }];
    claim(&world, again(took[0].0)).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM es.claims").await, 5, "whoever has a place takes no second one");
    claim(&world, vec![Claim::ReleaseAll { kind: "job-slot", holder: took[0].0 }]).await.unwrap();
    claim(&world, again(refused[0].0)).await.unwrap();
}

#[tokio::test]
async fn a_conflicting_append_leaves_no_claim_behind() {
    let world = world().await;
    let owner = AccountId::generate();
    let project = ProjectId::generate();
    create_as(&world.store, context(owner), owner, project).await.unwrap();
    let refused = world
        .store
        .execute(context(owner), move |session| {
            Box::pin(async move {
                session.claim(take("never", owner.as_uuid()));
                session.load::<domain::Project>(project.as_uuid()).await?;
                let command = domain::ProjectCommand::Create { owner, header: crate::support::header("Again") };
                session.handle::<domain::Project>(project.as_uuid(), owner, command)?;
                Ok::<_, Stop>(())
            })
        })
        .await;
    assert!(matches!(refused, Err(ExecuteError::Refused(_))));
    assert_eq!(world.count("SELECT count(*) FROM es.claims").await, 0);
}
