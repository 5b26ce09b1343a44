//! The same on PostgreSQL.

use crate::support::on_postgres_too;

#[test]
fn what_works_on_a_directory_works_on_a_database() {
    on_postgres_too(
        &["authorize::", "backchannel::", "discovery::", "lifetimes::", "logout::", "pages::", "token::"],
        // A command that changes a client reaches a server by the database, and so within two seconds, not at once.
        &[
            "a_service_gets_tokens_of_its_own",
            "clients_authenticate_in_one_way_and_by_their_own_method",
            "what_a_grant_hangs_on_ends_it",
        ],
    );
}
