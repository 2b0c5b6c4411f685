//! Prints the page of events, as it stands in the docs.

fn main() {
    print!("{}", shared::event::page());
}
