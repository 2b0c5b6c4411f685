//! What every adapter of the queue port promises: the same cases run on the queues in this process and, with the feature
//! `ministack`, on SQS at the endpoint that `PAYRELAY_CONTRACT_ENDPOINT` names.

mod cases;

macro_rules! contract {
    ($($case:ident)+) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $case() -> anyhow::Result<()> {
                    super::cases::$case(tests::queues::Adapter::Memory).await
                }
            )+
        }

        #[cfg(feature = "ministack")]
        mod sqs {
            $(
                #[tokio::test]
                async fn $case() -> anyhow::Result<()> {
                    super::cases::$case(tests::queues::Adapter::Sqs).await
                }
            )+
        }
    };
}

contract! {
    a_message_is_received_whole_and_is_gone_once_it_is_deleted
    no_more_is_received_than_was_asked_for
    a_message_that_is_not_deleted_comes_again_when_its_time_is_over
    a_message_that_is_put_off_comes_after_exactly_so_long
    a_message_can_be_put_off_for_less_than_its_time
    a_message_that_is_put_off_for_nothing_comes_at_once
    a_delayed_message_is_hidden_at_first
    a_batch_of_any_number_arrives_whole
    a_batch_larger_than_a_request_arrives_whole
    a_message_longer_than_a_queue_takes_is_refused_with_all_the_others
    a_message_goes_to_the_dead_letters_after_its_last_receipt
    only_the_latest_receipt_holds_a_message
    a_standard_queue_takes_groups_and_keeps_nobody_waiting
    a_fifo_queue_keeps_the_order_of_a_group
    a_fifo_queue_holds_a_group_back_while_one_of_its_messages_is_out
    a_fifo_queue_holds_a_group_back_while_one_of_its_messages_is_put_off
    a_fifo_queue_holds_a_group_back_while_a_later_one_of_its_messages_is_out
    a_group_whose_rest_is_put_off_for_nothing_waits_for_its_first_alone
    a_message_says_which_group_it_was_sent_with
    a_fifo_queue_takes_no_notice_of_a_delay
    a_fifo_queue_takes_no_message_without_a_group_or_an_id
    a_fifo_queue_tells_groups_apart_when_it_drops_what_came_before
    a_fifo_queue_takes_for_new_what_came_before_five_minutes_ago
    a_fifo_queue_drops_what_came_before
    a_dead_letter_of_a_fifo_queue_sets_its_group_free
}

#[test]
fn every_difference_is_one_of_an_adapter_and_never_of_both() {
    use tests::queues::{Adapter, Difference};
    for difference in Difference::ALL {
        assert_eq!(
            difference.of(),
            Adapter::Sqs,
            "{difference:?}: the queues in this process keep every rule"
        );
    }
}
