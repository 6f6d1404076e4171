//! Runs the contract on the embedded store: each promise on a store of its own, and all of them
//! on one store, one after the other.

use draftwire_store::Store;

use crate::contract::{self, documents, log, quotas, recovery, retrying};
use crate::support;

type Promise = fn(&dyn Store);

macro_rules! promises {
    ($($module:ident: $($name:ident)*;)*) => {
        $($(
            #[test]
            fn $name() {
                on_a_fresh_store($module::$name);
            }
        )*)*

        const ALL: &[Promise] = &[$($($module::$name),*),*];
    };
}

fn on_a_fresh_store(promise: Promise) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = support::open(folder.path(), &contract::limits()).expect("open");
    promise(&store);
}

promises! {
    // Upkeep first: it takes events in the order of their commits, and each desk has a clock of
    // its own, so in one store its promises hold only for the events of the first desks.
    log:
        upkeep_takes_the_log_in_short_steps
        events_over_age_go_and_younger_ones_stay
        as_many_events_are_kept_as_allowed
        as_many_bytes_are_kept_as_allowed
        the_bound_in_bytes_may_be_reached_but_not_passed
        pages_hold_about_as_much_as_asked;
    documents:
        every_command_answers_tells_and_is_kept
        ids_are_made_where_there_are_none
        a_version_never_comes_back
        lists_are_oldest_first_and_tell_their_moment
        users_do_not_see_each_other
        events_name_their_author
        refusals_say_why_and_change_nothing
        conditions_hold_only_at_their_version_and_epoch
        the_document_comes_back_where_it_is_wanted;
    quotas:
        size_is_measured_on_the_result
        documents_are_counted_over_both_collections
        bytes_are_counted_and_given_back
        devices_are_counted
        revocations_are_kept_and_counted
        a_batch_counts_what_came_before_in_it;
    retrying:
        the_next_is_applied_and_one_ahead_is_not
        a_duplicate_gets_the_first_answer_and_changes_nothing
        another_content_under_a_number_is_never_taken_for_the_old_one
        answers_older_than_kept_are_unknown
        final_refusals_use_up_their_number
        a_skip_uses_up_its_number_and_does_nothing
        devices_and_users_count_apart
        a_number_twice_in_one_batch_is_a_duplicate
        an_idempotency_key_gives_the_same_answer_for_a_day
        keys_are_counted_and_given_back;
    recovery:
        the_plan_follows_from_the_position
        a_device_without_a_position_gets_everything
        a_device_behind_gets_each_event_once
        positions_of_another_history_are_recognised
        live_sends_nothing
        a_snapshot_is_sent_where_it_is_smaller
        the_log_reaches_back_to_its_floor_exactly
        a_new_epoch_begins_only_where_the_lost_one_is_current
        even_a_user_never_heard_of_can_be_renewed;
}

#[test]
fn the_promises_hold_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = support::open(folder.path(), &contract::limits()).expect("open");
    for promise in ALL {
        promise(&store);
    }
    let folder = folder.path();
    drop(store);
    assert!(support::open_checked(folder).is_ok(), "and the file is sound afterwards");
}
