//! Personal strings and secrets are planted everywhere they may come in, and must come out nowhere but in the answers to
//! the person they belong to.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;

use rig::client::{Answer, Client};
use rig::jobs::{completed, ended, generate, job_id, project};
use rig::model::{Model, REPEATED};
use rig::sheets::dairy;
use rig::site::Site;
use rig::{PATIENCE, word};

/// Something that must not be found.
struct Planted {
    what: &'static str,
    text: String,
}

/// Where it was found after all.
#[derive(Default)]
struct Search {
    planted: Vec<Planted>,
    found: Vec<String>,
}

impl Search {
    /// Makes a word that stands nowhere else.
    fn plant(&mut self, what: &'static str) -> String {
        self.know(what, word(REPEATED))
    }

    /// Looks for this text, too.
    fn know(&mut self, what: &'static str, text: impl Into<String>) -> String {
        let text = text.into();
        assert!(text.len() >= 16, "{what} is so short that finding it proves nothing");
        self.planted.push(Planted { what, text: text.clone() });
        text
    }

    /// Looks in a text; bytes stand in the database's texts in hexadecimal.
    fn look(&mut self, place: &str, text: &str) {
        for Planted { what, text: planted } in &self.planted {
            if text.contains(planted.as_str()) || text.contains(&hex::encode(planted)) {
                self.found.push(format!("{what} in {place}"));
            }
        }
    }

    fn problem(&mut self, answer: &Answer) {
        answer.some_problem();
        self.look("a problem", &answer.text());
        self.look("a header of a problem", &format!("{:?}", answer.headers));
    }
}

/// What the bus holds, or holds the secrets of whom, is in none of these tables but in these forms.
const TABLES: [&str; 8] = [
    "es.events",
    "es.ledger",
    "es.command_receipts",
    "es.snapshots",
    "es.claims",
    "identity.credentials",
    "identity.sessions",
    "process.leases",
];

#[tokio::test]
async fn personal_strings_and_secrets_are_in_no_event_log_metric_problem_or_message() {
    let model = Model::start().await;
    let site = model.of(Site::new().await).with("LOG", "debug");
    let mut search = Search::default();
    search.know("the API key", &model.key);
    search.know("the master key", site.setting("MASTER_KEY"));
    search.know("the signing key", site.setting("SIGNING_KEY"));
    for (what, setting) in [
        ("the database's password", "DATABASE_URL"),
        ("the bus's password", "NATS_URL"),
        ("the cache's password", "REDIS_URL"),
    ] {
        let address = reqwest::Url::parse(site.setting(setting)).unwrap();
        search.know(what, address.password().expect("the test servers ask for a password"));
    }
    let server = site.start().await;
    let nobody = Client::of(&server);

    // An account, with a first sign-in that fails.
    let email = format!("{}@example.com", search.plant("the e-mail address"));
    let (password, wrong) = (search.plant("the password"), search.plant("a wrong password"));
    let names = [search.plant("the first name"), search.plant("the last name"), search.plant("the company")];
    let about = json!({
        "email": email, "password": password, "first_name": names[0], "last_name": names[1], "company_name": names[2],
        "location": search.plant("the account's location"),
    });
    nobody.post("/auth/register", &about).await.ok(201);
    search.problem(&nobody.post("/auth/register", &about).await);
    search.problem(&nobody.sign_in(&email, &wrong).await);
    let unknown = format!("{}@example.com", search.plant("an unknown address"));
    search.problem(&nobody.sign_in(&unknown, &wrong).await);
    let signed_in = nobody.sign_in(&email, &password).await;
    let cookie = signed_in.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    search.know("the cookie", cookie);
    let token = signed_in.ok(200)["access_token"].as_str().unwrap().to_owned();
    search.know("the token", &token);
    let ana = nobody.with_token(&token);

    // A project with a sheet, and changes of both.
    let client = search.plant("the client");
    let note = search.plant("a note on the sheet");
    let mut sheet = dairy().with("field-notes", "field-notes", "value", json!(format!("Whey apart, says {note}.")));
    sheet = sheet.with("water-quality", "cod", "notes", json!(format!("Taken by {}.", search.plant("a field's note"))));
    sheet.project["client"] = json!(client);
    sheet.project["location"] = json!(search.plant("the project's location"));
    sheet.project["description"] = json!(search.plant("the description"));
    sheet.data["notes"] = json!(search.plant("the project's notes"));
    sheet.data["field_observations"] = json!(search.plant("the observations"));
    sheet.data["basic_info"] = json!({"contact": {"name": search.plant("the contact")}});
    let id = project(&ana, &sheet).await;
    let (of_project, of_data) = (format!("/projects/{id}"), format!("/projects/{id}/data"));
    let changed = json!({"client": search.plant("the new client"), "description": search.plant("the new description")});
    ana.patch(&of_project, &changed).await.ok(200);
    ana.patch(&of_data, &json!({"notes": search.plant("the new notes")})).await.ok(200);
    let replaced = ana.get(&of_data).await.ok(200)["data"].clone();
    ana.put(&of_data, &replaced).await.ok(200);

    // A proposal whose text repeats what the sheet remarks, one whose model fails, and one with wishes.
    let wish = search.plant("a wish");
    let asked = json!({
        "project_id": id, "proposal_type": "Technical",
        "preferences": {"focus_areas": [wish], "constraints": {"note": search.plant("a constraint")}},
        "parameters": {"remark": search.plant("a parameter")},
    });
    let job = ana.post("/ai/proposals/generate", &asked).await.ok(202);
    let done = completed(&ana, job_id(&job)).await;
    let again = generate(&ana, &id, "Technical").await;
    ended(&ana, job_id(&again), PATIENCE).await;

    // Refusals of every kind, with planted words in what is refused.
    let refused = search.plant("a refused value");
    for (method, path, body) in [
        (Method::POST, "/projects".to_owned(), json!({"name": 7, "client": refused}).to_string()),
        (Method::PATCH, of_project.clone(), json!({"status": refused}).to_string()),
        (Method::PATCH, of_project.clone(), format!("{{\"name\": \"{refused}")),
        (Method::PATCH, of_data.clone(), format!("{{\"notes\": \"{refused}\\u0000\"}}")),
        (Method::PUT, of_data.clone(), format!("[\"{refused}\"]")),
        (Method::POST, "/ai/proposals/generate".to_owned(), json!({"project_id": refused}).to_string()),
        (Method::GET, format!("/projects/{refused}"), String::new()),
        (Method::GET, format!("/projects?status={refused}"), String::new()),
        (Method::GET, format!("/{refused}"), String::new()),
        (Method::POST, "/auth/register".to_owned(), json!({"email": refused, "password": "1"}).to_string()),
    ] {
        search.problem(&ana.raw(method, &path, body).await);
    }
    search.problem(&nobody.with_token(&refused).get("/projects").await);

    // What was planted did arrive where it belongs, or the search would prove nothing.
    let shown = ana.get(&of_project).await.ok(200);
    assert_eq!(shown["client"], changed["client"]);
    assert_eq!(ana.get("/auth/me").await.ok(200)["last_name"], *names[1]);
    let of_proposal = format!("/ai/proposals/{id}/proposals/{}", done["result"]["proposalId"].as_str().unwrap());
    let proposal = ana.get(&of_proposal).await.ok(200);
    assert!(
        proposal["technicalApproach"].as_str().unwrap().contains(&note),
        "the model repeats what it read: {proposal}"
    );

    for table in TABLES {
        let rows = sqlx::query(&format!("SELECT t::text FROM {table} t")).fetch_all(&site.pool).await.unwrap();
        assert!(!rows.is_empty() || matches!(table, "es.snapshots" | "process.leases"), "{table} is empty");
        for row in rows {
            search.look(table, &row.get::<String, _>(0));
        }
    }
    let metrics = nobody.get_root("/metrics").await;
    assert!(metrics.status.is_success() && metrics.text().contains("generations_total"), "{}", metrics.shown());
    search.look("a metric", &metrics.text());
    search.look("health", &nobody.get("/health").await.text());
    let messages = messages(&site).await;
    assert!(messages.len() > 20, "the bus holds {} messages only", messages.len());
    messages.iter().for_each(|message| search.look("a message on the bus", message));
    look_at_calls(&mut search, &model, &[&email, &client, &names[0], &names[1], &names[2]]);

    // The log is complete once the server has ended.
    let mut server = server;
    assert!(server.stop().await.success());
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("generation ended")), "the log does not hold what happened");
    log.iter().for_each(|line| search.look(&format!("the log: {line:.300}"), line));

    search.found.sort();
    search.found.dedup();
    assert!(search.found.is_empty(), "{}", search.found.join("\n"));
    site.close().await;
}

/// Names, addresses and secrets go to no provider; remarks on the sheet do.
fn look_at_calls(search: &mut Search, model: &Model, never_sent: &[&String]) {
    let calls: Vec<Value> = model.bodies();
    assert!(!calls.is_empty());
    for call in calls {
        let call = call.to_string();
        for planted in &search.planted {
            let secret =
                ["password", "key", "token", "cookie", "client"].iter().any(|word| planted.what.contains(word));
            if (secret || never_sent.contains(&&planted.text)) && call.contains(&planted.text) {
                search.found.push(format!("{} in a call of the model", planted.what));
            }
        }
    }
}

/// Every message that the bus holds of this store, with its subject and headers.
async fn messages(site: &Site) -> Vec<String> {
    let jetstream = async_nats::jetstream::new(testkit::nats().await);
    let mut stream = jetstream.get_stream(site.bus_name().await).await.unwrap();
    let head = site.count("es.ledger").await.unsigned_abs();
    let state = testkit::wait_until(PATIENCE, async || {
        let state = stream.info().await.ok()?.state.clone();
        (state.last_sequence >= head).then_some(state)
    })
    .await;
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        messages.push(format!(
            "{} {:?} {}",
            message.subject,
            message.headers,
            String::from_utf8_lossy(&message.payload)
        ));
    }
    messages
}
