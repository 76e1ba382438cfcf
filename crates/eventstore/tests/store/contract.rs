//! One contract, two stores: ours, and the stock repository of postgres-es 0.5.0 as cqrs-es drives it.
//!
//! Each row asks the same of both and writes down what was seen. What the stock one does is asserted as it is, faults
//! included, so that a release that mends one is noticed here. `docs/store-contract.md` shows the same table; a test
//! compares.

mod ours;
mod probes;
mod readers;
mod stock;
mod subject;

use std::fmt::Write;

use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, stream};
use ours::Ours;
use stock::Stock;
use subject::Subject;

/// What is asked, and what each side is seen to do.
struct Row {
    asked: &'static str,
    ours: &'static str,
    stock: &'static str,
    probe: fn() -> LocalBoxFuture<'static, (String, String)>,
}

/// Asks both sides the same.
macro_rules! both {
    ($probe:path) => {
        || {
            async {
                let (ours, stock) = (Ours::start().await, Stock::start().await);
                ($probe(&ours).await, $probe(&stock).await)
            }
            .boxed_local()
        }
    };
    ($ours:path, $stock:path) => {
        || {
            async {
                let (ours, stock) = (Ours::start().await, Stock::start().await);
                ($ours(&ours).await, $stock(&stock).await)
            }
            .boxed_local()
        }
    };
}

const ROWS: &[Row] = &[
    Row {
        asked: "Ten events of one command are appended together",
        ours: "10 events in 1 statement",
        stock: "10 events in 10 statements",
        probe: both!(probes::batch),
    },
    Row {
        asked: "A unique constraint that is not the stream's is violated",
        ours: "named: one_name",
        stock: "taken for a conflict",
        probe: both!(probes::constraint),
    },
    Row {
        asked: "Another command appends between the load and the append of this one",
        ours: "carried out on what the other left: other, mine",
        stock: "refused as a conflict: other",
        probe: both!(probes::overtaken),
    },
    Row {
        asked: "The stream is shorter at the append than it was at the load",
        ours: "appended as number 2 of 2",
        stock: "appended as number 4 of 2, behind a gap",
        probe: both!(probes::shorter_stream),
    },
    Row {
        asked: "A stream goes on behind event number 2,147,483,647",
        ours: "appended as number 2147483648",
        stock: "failed",
        probe: both!(probes::beyond_i32),
    },
    Row {
        asked: "The tail of a stream is read behind fifty different versions, on one connection",
        ours: "0 more prepared statements",
        stock: "49 more prepared statements",
        probe: both!(probes::prepared_statements),
    },
    Row {
        asked: "Everything is read, and event 2 of 3 cannot be",
        ours: "2 of 3 events, and an error that names number 2",
        stock: "2 of 3 events, and no error",
        probe: both!(probes::unreadable_event),
    },
    Row {
        asked: "Everything is read, and the connection dies on the way",
        ours: "every event",
        stock: "not every event, and no error",
        probe: both!(probes::dying_connection),
    },
    Row {
        asked: "Everything is read, in the order in which it happened: A1, A2, B1",
        ours: "A1, A2, B1",
        stock: "A1, B1, A2",
        probe: both!(probes::order),
    },
    Row {
        asked: "One command appends to a project and to a proposal, in one transaction",
        ours: "each in its own stream",
        stock: "the proposal's event stored as a project's",
        probe: both!(probes::several_streams),
    },
    Row {
        asked: "A state that was kept as a snapshot is loaded after 61 events, 60 of which added a tag",
        ours: "has seen 61 events, and has 60 of 60 tags",
        stock: "has seen 110 events, and has 49 of 60 tags",
        probe: both!(probes::applied_once),
    },
    Row {
        asked: "There is a snapshot that other code wrote",
        ours: "ignored",
        stock: "believed",
        probe: both!(probes::foreign_snapshot),
    },
    Row {
        asked: "A request is cancelled after its events are stored and before readers have them",
        ours: "2 of 2 events read in the end",
        stock: "1 of 2 events read in the end",
        probe: both!(readers::ours_cancelled, readers::stock_cancelled),
    },
    Row {
        asked: "Two commands reach one read model at the same time",
        ours: "3 of 3 events read in the end",
        stock: "2 of 3 events read in the end",
        probe: both!(readers::ours_contended, readers::stock_contended),
    },
    Row {
        asked: "The same command comes twice, under one command id",
        ours: "one effect",
        stock: "two effects",
        probe: both!(probes::repeated),
    },
    Row {
        asked: "An event with personal values is stored",
        ours: "sealed",
        stock: "readable in the table",
        probe: both!(probes::personal),
    },
];

fn table() -> String {
    let mut table = "| asked | our store | stock `PostgresEventRepository` 0.5.0 |\n|---|---|---|\n".to_owned();
    for Row { asked, ours, stock, .. } in ROWS {
        writeln!(table, "| {asked} | {ours} | {stock} |").unwrap();
    }
    table
}

#[tokio::test]
async fn every_row_of_the_contract_is_seen_on_both_sides() {
    let mut wrong = String::new();
    // A few at a time: each has two databases.
    let mut seen = stream::iter(ROWS).map(|row| (row.probe)().map(move |seen| (row, seen))).buffered(4);
    while let Some((row, (ours, stock))) = seen.next().await {
        for (side, expected, seen) in [("ours", row.ours, ours), ("stock", row.stock, stock)] {
            if expected != seen {
                writeln!(wrong, "{}: {side} was expected to be seen as {expected:?}, and was {seen:?}", row.asked)
                    .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_documented_contract_is_the_tested_one() {
    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/store-contract.md");
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once("| asked |").unwrap();
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    let present = format!("{before}{}\n{after}", table());
    if testkit::writes_generated_files() {
        std::fs::write(DOCUMENT, present).unwrap();
    } else {
        assert!(document == present, "docs/store-contract.md does not show the tested table: run `./dev write-docs`");
    }
}
