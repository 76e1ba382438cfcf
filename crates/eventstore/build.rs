//! Makes cargo build anew when a migration is added, since they are compiled into the library.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
