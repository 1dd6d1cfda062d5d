"""kernels: functions of tensors, under the layers of the operators. Imports torch and nothing of ours.

State-space cores stand on these, each on those above it:

    transition.py    A-bar: diagonal, complex or real, dense, or diagonal plus low rank
    discretise.py    from Lambda, P, B and the step to A-bar and B-bar
    powers.py        A-bar^j by doubling, without a complex exponential
    system.py        a time-invariant system: its kernel, its response to a state, its state after a sequence
    any_length.py    the same for a length that is a symbol
    convolution.py   a whole sequence by FFT
    scan.py          a whole sequence in chunks
    recurrence.py    a whole sequence step by step
    memo.py          what is kept of parameters in inference
    lengths.py       padded batches: which times belong to a sequence
    fixed.py         a bank of systems that are discrete in themselves
    core.py          one of the three ways, by name
    normalised.py    kernels that depend on the length
    modes.py         complex recurrences by themselves
    mimo.py          one system for all channels, with them inside

Cores whose step, input and reading are new at every time:

    steps.py             from what the input says to the steps of the state and the weights of the sample
    selective.py         a bank of diagonal systems (s6)
    selective_tiles.py   that in tiles of time, with a backward pass of its own
    native_selective.py  that one time after the other, by a native kernel
    selective_peer.py    that by mamba_ssm on a GPU, where it is quicker
    heads.py             matrices for states, one decay per head (ssd)
    doubling.py          both for a length that is a symbol

Short convolutions, of `conv1d` and `smr`:

    depthwise.py     by torch
    native_taps.py   with a gate in the same pass, by a native kernel where there is one
    native_pair.py   two of them, one behind the other, in one
    native_gated_bank.py   one in front of a core, in one
    ages.py          over inputs at their true ages, where there are gaps

On a GPU, Triton's kernels stand in for the native ones, called in the same way:

    triton_calls.py      where they run, and which there are; the others are imported when the first one runs
    triton_common.py     what they share
    triton_bank.py       diagonal systems, in tiles of time; triton_bank_back.py their gradients
    triton_modes.py      complex modes
    triton_selective.py  selective scans; triton_selective_back.py their gradients
    triton_taps.py       short convolutions and gates
"""
