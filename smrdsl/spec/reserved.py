"""Names that every torch or torch.fx module and every compiled model has: no label or component may hide one.

Written down so that checking needs no torch; tests hold them against the torch that is installed, and us.
"""

MODULE_ATTRIBUTES = frozenset(
    """
    T_destination add_module add_submodule apply bfloat16 buffers call_super_init children code
    compile cpu cuda delete_all_unused_submodules delete_submodule double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule graph half
    ipu load_state_dict meta modules mtia named_buffers named_children named_modules
    named_parameters parameters print_readable recompile register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule shape_env share_memory state_dict to to_empty to_folder train training type
    xpu zero_grad
    """.split()
)

MODEL_ATTRIBUTES = frozenset(
    """
    fx fx_step generate graph initial_state load parameter_groups plan replan save save_pretrained source stages step
    stream text
    """.split()
)
"""What a compiled model, or the class in its generated source, has besides."""
