//! A proxy between server and database that cuts the connection at a chosen moment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use domain::AccountId;
use eventstore::{Claim, CommandContext};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::support::{Stop, World, add_tag, context, create, open, pool, tag, tags, world};

/// When to cut: at the first bytes towards the database that contain `needle`.
struct Cut {
    needle: Vec<u8>,
    when: When,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    /// The database never hears of it.
    Before,
    /// The database may still be about to begin.
    After,
    /// The database has answered; the answer does not get through.
    Answered,
}

struct Proxy {
    url: String,
    armed: Arc<Mutex<Option<Cut>>>,
}

impl Proxy {
    async fn before(world: &World) -> Self {
        let database: sqlx::postgres::PgConnectOptions = world.database.url.parse().unwrap();
        let target = format!("{}:{}", database.get_host(), database.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let armed = Arc::new(Mutex::new(None));
        tokio::spawn({
            let armed = Arc::clone(&armed);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect(&target).await.unwrap();
                    tokio::spawn(pass(client, server, Arc::clone(&armed)));
                }
            }
        });
        let url = {
            use sqlx::ConnectOptions;
            database.host("127.0.0.1").port(address.port()).to_url_lossy().to_string()
        };
        Self { url, armed }
    }

    fn arm(&self, needle: &[u8], when: When) {
        *self.armed.lock().unwrap() = Some(Cut { needle: needle.to_vec(), when });
    }

    fn is_armed(&self) -> bool {
        self.armed.lock().unwrap().is_some()
    }
}

async fn pass(client: TcpStream, server: TcpStream, armed: Arc<Mutex<Option<Cut>>>) {
    let (mut client, mut server) = (client, server);
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(read @ 1..) = read else { return };
                let bytes = &from_client[..read];
                let cut = {
                    let mut armed = armed.lock().unwrap();
                    let hit = armed.as_ref().is_some_and(|cut| bytes.windows(cut.needle.len()).any(|w| w == cut.needle));
                    if hit { armed.take() } else { None }
                };
                let when = cut.map(|cut| cut.when);
                if when != Some(When::Before) {
                    server.write_all(bytes).await.unwrap();
                }
                if when == Some(When::Answered) {
                    assert_ne!(server.read(&mut from_server).await.unwrap(), 0);
                }
                if when.is_some() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&from_server[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// How a command is written.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// In one statement.
    Alone,
    /// In a transaction, with a claim.
    WithClaim,
    /// In a transaction, with an answer under an idempotency key.
    WithKey,
}

/// Whether the command was found again instead of being repeated. In every case it has its effect once.
async fn after_a_cut(needle: &[u8], when: When, how: How) -> bool {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let proxy = Proxy::before(&world).await;
    let store = open(&proxy.url, 4).await;
    // Everything is prepared once, so that the cut hits the command itself.
    tag(&store, context(owner), owner, vec![project], "before".to_owned()).await.unwrap();
    proxy.arm(needle, when);
    let request_hash = (how == How::WithKey).then_some([7; 32]);
    let context = CommandContext { request_hash, ..context(owner) };
    let command = context.command_id;
    let committed = store
        .execute(context, move |session| {
            Box::pin(async move {
                add_tag(session, owner, project, "the-one-that-is-cut").await?;
                session.answer(b"done".to_vec());
                if how == How::WithClaim {
                    session.claim(Claim::Take { kind: "email", key: b"x".to_vec(), holder: Uuid::nil() });
                }
                Ok::<_, Stop>(())
            })
        })
        .await
        .unwrap();
    assert!(!proxy.is_armed(), "the connection was cut");
    assert_eq!(committed.events.len(), 1);
    assert_eq!(committed.events[0].sequence, 3);
    let stored = world.store.stream(project.into(), 2, 10).await.unwrap();
    assert_eq!(stored, committed.events, "what was answered is what is stored");
    let claims = world.count("SELECT count(*) FROM es.claims").await;
    assert_eq!(claims, i64::from(how == How::WithClaim));
    let receipt = world.store.receipt(command).await.unwrap().unwrap();
    assert_eq!((receipt.request_hash, receipt.answer), (request_hash, Some(b"done".to_vec())));
    assert_eq!(world.settled().await, 3);
    assert_eq!(tags(&world.store, project).await, ["before", "the-one-that-is-cut"]);
    committed.replayed
}

const APPEND: &[u8] = b"the-one-that-is-cut";

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found() {
    assert!(after_a_cut(b"COMMIT", When::Answered, How::WithClaim).await);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_tried_again() {
    assert!(!after_a_cut(b"COMMIT", When::Before, How::WithClaim).await);
}

#[tokio::test]
async fn a_command_with_a_key_is_found_or_tried_again_as_any_other() {
    assert!(after_a_cut(b"COMMIT", When::Answered, How::WithKey).await);
    assert!(!after_a_cut(b"COMMIT", When::Before, How::WithKey).await);
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_found() {
    assert!(after_a_cut(APPEND, When::Answered, How::Alone).await);
}

#[tokio::test]
async fn an_append_that_never_arrived_is_tried_again() {
    assert!(!after_a_cut(APPEND, When::Before, How::Alone).await);
}

#[tokio::test]
async fn an_append_that_goes_on_without_its_connection_has_its_effect_once() {
    for _ in 0..5 {
        // Found again or repeated, as it happens; both are right.
        after_a_cut(APPEND, When::After, How::Alone).await;
        after_a_cut(b"COMMIT", When::After, How::WithClaim).await;
        after_a_cut(b"COMMIT", When::After, How::WithKey).await;
    }
}

#[tokio::test]
async fn a_killed_backend_costs_no_command() {
    let world = world().await;
    let owner = AccountId::generate();
    let (project, _) = create(&world.store, owner).await;
    let killer = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for n in 0..3 {
        world.count(killer).await;
        tag(&world.store, context(owner), owner, vec![project], n.to_string()).await.unwrap();
    }
    assert_eq!(tags(&world.store, project).await.len(), 3);
    assert_eq!(world.settled().await, 4);
}

/// A request whose client has gone is dropped wherever it stands, also while it waits for the answer to its `BEGIN`.
#[tokio::test]
async fn a_transaction_that_is_given_up_while_it_begins_leaves_no_connection_inside_one() {
    let world = world().await;
    let pool = pool(&world.database.url, 1).await;
    let mut given_up = 0;
    for polls in 0..60 {
        let mut beginning = Box::pin(eventstore::begin(&pool, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
        let mut begun = false;
        for _ in 0..polls {
            begun = futures::poll!(&mut beginning).is_ready();
            if begun {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(beginning);
        given_up += usize::from(!begun);
        let read_only: String = sqlx::query_scalar("SHOW transaction_read_only").fetch_one(&pool).await.unwrap();
        assert_eq!(read_only, "off", "given up after {polls} looks, the connection is still in a transaction");
    }
    assert!(given_up > 1, "no transaction was given up before it had begun");
}
