//! THE CONTRACT: what every store must keep, whatever its database. One list of named tests, with real concurrent callers,
//! a real engine, and a clock that is set by hand.
//!
//! 1. `world.rs` is what a test stands on. A store brings a [`world::Place`]: where it is, and what a crash leaves of it.
//! 2. Each file beside it holds the tests of one promise. A test is a function of a fresh [`world::World`].
//! 3. [`contract`] instantiates all of them for one store. A test that is not on its list is dead code to the compiler.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail by panicking"
)]

mod client;
pub(crate) mod device;
mod dpop;
mod key;
mod logout;
pub(crate) mod moving;
pub(crate) mod password;
mod race;
mod resource;
mod rotation;
mod row;
mod session;
mod sign_in;
pub(crate) mod single_sign_on;
mod timeline;
mod user;
pub(crate) mod world;

/// Makes the module `$store`, with every test of the contract on a fresh `$place`.
macro_rules! contract {
    ($store:ident, $place:expr) => {
        mod $store {
            each! { rotation, $place;
                concurrent_uses_of_one_token_share_one_successor,
                an_answered_rotation_is_there_for_everybody,
                predecessor_and_newest_at_once_agree_on_what_is_newest,
                two_predecessors_at_once_end_the_family_once,
                a_reuse_ends_the_session_and_is_remembered,
                a_user_is_warned_once_an_hour,
                a_lost_reply_is_given_again_after_a_crash,
                what_was_acknowledged_under_load_survives_a_crash,
                a_dropped_request_does_no_harm,
                a_store_that_lost_its_tail_believes_the_holder,
                a_peek_changes_nothing_that_a_rotation_would,
                a_token_without_a_row_is_unknown,
                points_are_kept_across_uses_and_restarts,
                a_refusal_writes_nothing,
            }
            each! { race, $place;
                a_refresh_against_a_revocation,
                a_refresh_against_the_end_of_all_others,
                a_refresh_against_disabling,
                a_refresh_against_deletion,
                a_refresh_against_a_password_set_by_the_operator,
                a_refresh_against_the_owners_password_change,
                a_refresh_against_signing_out,
                a_refresh_against_a_sign_in_that_replaces_it,
                a_refresh_against_a_thief,
                a_refresh_against_a_sweep,
                a_sign_in_against_disabling,
                of_many_revocations_one_is_the_end,
            }
            each! { password, $place;
                a_change_ends_everything_but_the_acting_session,
                the_token_after_a_change_works_once_peeked,
                a_wrong_current_password_changes_nothing,
                an_ended_session_changes_no_password,
                of_two_changes_at_once_one_wins,
                of_two_changes_by_one_token_one_wins,
                a_change_of_another_password_than_was_checked_is_a_conflict,
                a_sign_in_that_is_overtaken_by_a_change_counts_for_nothing,
                a_change_on_the_page_keeps_its_session_under_a_new_reference,
                a_change_on_the_page_of_a_session_that_is_over_changes_nothing,
            }
            each! { session, $place;
                never_more_sessions_than_the_limit_are_alive,
                the_limit_takes_those_never_refreshed_first_then_the_longest_unused,
                expired_sessions_take_no_room,
                a_sign_in_replaces_the_session_of_the_cookie,
                a_failed_sign_in_replaces_nothing,
                a_reused_cookie_at_a_sign_in_ends_its_family_and_the_sign_in_goes_on,
                a_predecessor_in_the_cookie_is_replaced_too,
                a_sign_out_ends_now,
                a_sign_out_by_a_predecessor_ends_the_session,
                lists_go_page_by_page_newest_first,
                only_the_owner_ends_a_session,
                all_others_end_and_the_one_stays,
                an_expired_session_is_not_alive_and_cannot_be_ended,
                what_was_ended_while_the_clock_was_wild_stays_ended,
            }
            each! { sign_in, $place;
                unknown_disabled_and_without_a_password_are_all_just_wrong,
                failures_of_an_account_from_an_address_are_limited,
                failures_of_an_account_from_everywhere_are_limited,
                failures_of_a_network_are_limited,
                a_success_forgives_the_account_and_not_the_network,
                successes_do_not_count_and_failures_run_out,
                failures_in_the_future_do_not_lock_anybody_out,
                a_session_opens_under_the_epoch_of_its_proof_or_not_at_all,
                a_hash_of_another_cost_is_made_anew,
            }
            each! { user, $place;
                users_are_added_all_or_none,
                an_identifier_belongs_to_one_user_also_in_a_race,
                a_user_is_read_as_it_was_written,
                users_are_listed_page_by_page,
                a_deleted_user_is_gone_and_its_name_is_free,
                enabling_again_revives_nothing,
                a_password_set_by_the_operator_ends_everything,
                roles_are_in_the_very_next_access_token,
            }
            each! { timeline, $place;
                it_tells_in_order_what_happened_to_whom,
                a_reuse_is_told_before_the_end_that_it_caused,
                rotations_are_forgotten_after_a_day_but_for_the_last_ten,
                a_passed_deadline_is_told_at_once_and_written_once_it_settled,
                an_absolute_deadline_is_written_as_what_it_is,
                what_ended_is_forgotten_after_its_retention,
                the_sweep_goes_round,
                a_clock_a_year_ahead_destroys_nothing,
                a_sweep_does_not_believe_a_clock_that_jumps,
                a_clock_an_hour_back_keeps_working,
                a_clock_that_was_days_ahead_limits_nobody,
                what_was_told_of_a_deleted_user_stays_for_its_retention,
            }
            each! { row, $place;
                every_grant_is_read_as_it_was_written,
            }
            each! { client, $place;
                a_client_is_read_as_it_was_written,
                an_id_belongs_to_one_client,
                two_secrets_work_at_once_and_the_older_one_for_its_window,
                a_use_of_a_secret_is_noted_once_an_hour,
                a_removed_client_is_gone_within_two_seconds_everywhere,
                the_clients_of_the_configuration_are_kept_in_step,
            }
            each! { resource, $place;
                a_resource_is_read_as_it_was_written,
                a_removed_resource_is_gone_within_two_seconds_everywhere,
                the_resources_of_the_configuration_are_kept_in_step,
                no_resource_has_the_id_of_a_client,
            }
            each! { single_sign_on, $place;
                a_reference_names_a_session_as_long_as_it_lives,
                each_proof_makes_a_new_reference_and_the_same_users_session_goes_on,
                a_use_slides_the_session_and_revives_none,
                of_many_redemptions_at_once_one_is_the_first_and_the_others_end_it,
                a_redeemed_code_is_recognised_after_a_crash,
                a_code_against_an_end_gives_nothing_that_lives_on,
                online_grants_end_with_their_session_and_offline_ones_do_not,
                an_online_grant_does_not_outlive_its_sessions_deadline,
                offline_grants_are_swept_once_they_are_over,
                a_removed_client_ends_its_grants_and_nobody_elses,
                the_end_of_everybodys_sessions_ends_what_outlives_them,
                a_consent_grows_and_its_end_ends_what_it_allowed,
                what_may_be_used_once_is_used_by_one,
                the_applications_with_access_are_those_that_were_allowed_or_hold_a_living_grant,
            }
            each! { dpop, $place;
                a_bound_grant_renews_itself_for_its_key_alone,
                holder_and_thief_at_once_make_one_successor_for_the_holder,
                a_proof_renews_once,
                a_code_keeps_the_key_that_it_names,
                what_was_used_once_is_forgotten_however_much_it_is,
            }
            each! { device, $place;
                what_was_allowed_is_given_once_as_the_session_or_for_longer,
                of_many_questions_at_once_one_gets_the_tokens_and_the_others_end_it,
                an_answer_counts_once_and_in_time,
                who_does_not_wait_is_told_to_wait_longer,
                never_more_wrong_codes_than_may_be_are_looked_up,
                a_network_gets_no_end_of_codes_for_public_clients,
                what_was_not_fetched_ends_with_what_it_hangs_on,
                codes_are_forgotten_a_day_after_their_end,
            }
            each! { logout, $place;
                each_end_of_a_session_is_told_to_each_client_of_it_once,
                a_notice_is_claimed_by_one_and_again_once_the_claim_ran_out,
                only_the_newest_attempt_fails_and_any_may_succeed,
                who_does_not_answer_holds_up_nobody_else,
                what_fails_is_tried_more_and_more_seldom_and_given_up,
                a_wild_clock_neither_loses_nor_gives_up_a_notice,
                what_was_settled_is_forgotten_and_what_waits_is_not,
                a_client_that_is_gone_is_told_nothing,
            }
            each! { key, $place;
                the_first_signing_key_is_made_once,
                access_tokens_are_good_after_a_restart,
                the_identity_is_remembered,
            }
        }
    };
}

macro_rules! each {
    ($promise:ident, $place:expr; $($(#[$attribute:meta])* $test:ident,)+) => {
        mod $promise {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let world = crate::contract::world::World::at(Box::new($place)).await;
                    crate::contract::$promise::$test(world).await;
                }
            )+
        }
    };
}
contract!(sqlite, crate::sqlite::tests::Directory::new());
contract!(postgres, crate::postgres::tests::Database::new());
contract!(spread, crate::postgres::tests::spread::Spread::new());
