"""Every exercise of the chapter, and what answers it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from lenet.chapter.exercises import (
    channels,
    convolution,
    few,
    further,
    lenet,
    padding,
    pooling,
    why_convolution,
)
from lenet.chapter.page import Page, heading


class Exercise(NamedTuple):
    """An exercise: the docstring of `answer` is the question in our words."""

    number: str
    kind: Literal["R", "P"]  # answered by an experiment, or by a proof with a numerical check
    answer: Callable[[Page], None]
    seconds: int = 0  # rough duration on two cores; 0 means less than ten

    @property
    def question(self) -> str:
        """The question in a sentence or two."""
        return heading(self.answer)


EXERCISES = {
    exercise.number: exercise
    for exercise in (
        Exercise("1.1", "P", why_convolution.one_by_one_is_a_network_for_each_pixel),
        Exercise("1.2", "R", why_convolution.sound_is_an_image_of_height_one),
        Exercise("1.3", "R", why_convolution.place_is_what_pooling_over_the_image_forgets),
        Exercise("1.4", "R", why_convolution.a_kernel_over_words_finds_a_phrase),
        Exercise("1.5", "R", why_convolution.the_border_is_seen_less),
        Exercise("1.6", "P", why_convolution.convolution_commutes),
        Exercise("2.1", "R", convolution.a_diagonal_edge_is_seen_across_and_down),
        Exercise("2.2a", "R", convolution.an_edge_kernel_for_every_direction),
        Exercise("2.2b", "P", convolution.the_second_difference_takes_three),
        Exercise("2.2c", "R", convolution.a_blur_is_a_mean_that_quiets_noise),
        Exercise("2.2d", "P", convolution.a_derivative_takes_its_order_and_one),
        Exercise("2.3", "R", convolution.a_loop_is_differentiable_unless_it_assigns),
        Exercise("2.4", "P", convolution.cross_correlation_is_a_matrix_product),
        Exercise("3.1", "R", padding.four_windows_fit_the_last_example),
        Exercise("3.2", "R", padding.stride_two_halves_the_sampling_rate),
        Exercise("3.3", "R", padding.mirror_padding_makes_no_false_edge),
        Exercise("3.4", "R", padding.stride_s_saves_s_squared),
        Exercise("3.5", "R", padding.neighbours_say_the_same),
        Exercise("3.6", "R", padding.stride_one_half_doubles_the_size),
        Exercise("3.7", "R", padding.the_formula_holds_for_every_combination),
        Exercise("4.1", "P", channels.two_kernels_in_a_row_are_one),
        Exercise("4.2", "R", channels.backward_costs_twice_the_forward),
        Exercise("4.3", "R", channels.twice_the_channels_cost_four_times),
        Exercise("4.4", "R", channels.the_two_forms_differ_by_rounding),
        Exercise("4.5", "R", channels.any_convolution_is_a_matrix_product),
        Exercise("4.6", "R", channels.wider_strips_read_each_pixel_less_often),
        Exercise("4.7", "R", channels.blocks_save_what_a_shuffle_mends),
        Exercise("5.1", "P", pooling.average_pooling_is_a_convolution),
        Exercise("5.2", "P", pooling.max_pooling_is_not_linear),
        Exercise("5.3", "P", pooling.max_pooling_from_relu),
        Exercise("5.4", "R", pooling.pooling_is_cheap),
        Exercise("5.5", "R", pooling.maximum_and_mean_see_different_things),
        Exercise("5.6", "P", pooling.min_pooling_is_max_pooling_with_two_signs),
        Exercise("5.7", "R", pooling.softmax_pooling_lies_between_mean_and_maximum),
        Exercise("6.1a", "R", lenet.max_pooling_learns_sooner_than_average_pooling, seconds=90),
        Exercise("6.1b", "R", lenet.relu_learns_sooner_than_sigmoid, seconds=150),
        Exercise("6.2a", "R", lenet.accuracy_by_window_after_one_epoch, seconds=50),
        Exercise("6.2b", "R", lenet.accuracy_by_channels_after_one_epoch, seconds=50),
        Exercise("6.2c", "R", lenet.each_convolution_leaves_fewer_parameters, seconds=50),
        Exercise("6.2d", "R", lenet.hidden_dense_layers_hold_most_parameters, seconds=60),
        Exercise(
            "6.2e", "R", lenet.the_best_learning_rate_lies_between_too_slow_and_chance, seconds=70
        ),
        Exercise("6.2f", "R", lenet.small_initial_weights_stay_at_chance_level, seconds=75),
        Exercise("6.2g", "R", lenet.more_epochs_overfit, seconds=60),
        Exercise("6.3", "R", lenet.digits_are_easier_than_clothes, seconds=30),
        Exercise("6.4", "R", lenet.sweaters_and_coats_separate_in_the_dense_layers, seconds=30),
        Exercise("6.5", "R", lenet.strange_images_fade_on_their_way_up, seconds=30),
        Exercise("7.1", "R", further.blocks_trade_products_for_copies),
        Exercise("7.2", "P", further.dilations_count_in_base_k),
        Exercise("7.3", "P", further.any_kernel_is_separable_with_enough_multipliers),
        Exercise("7.4", "R", further.a_wider_blur_changes_less),
        Exercise("7.5", "P", further.a_strided_convolution_has_a_dilated_gradient),
        Exercise("7.6", "R", further.differences_check_a_backward_pass),
        Exercise("7.7", "R", further.stride_and_dilation_widen_what_counts),
        Exercise("7.8", "R", few.averages_replace_the_dense_head, seconds=60),
        Exercise("7.9a", "R", few.noise_can_be_memorised, seconds=20),
        Exercise("7.9b", "R", few.memorising_few_images_is_not_learning, seconds=60),
    )
}
"""Every exercise by number, in the order of the book; section 7 goes beyond it."""
