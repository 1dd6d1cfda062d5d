"""HiPPO: the matrices that make a state remember its past, and their diagonal-plus-low-rank form.

    measure   A, B                      P with A + P P^T normal
    legs      Legendre, scaled          rank 1
    legt      Legendre, translated      rank 2
    fout      Fourier, translated       rank 1
    lagt      Laguerre, translated      rank 1

A = V (Lambda - P P^H) V^H with Lambda in conjugate pairs, of which the half with Im <= 0 is kept, most negative first.
Everything is float64, in numpy.

Source: Gu et al. 2020, "HiPPO: Recurrent Memory with Optimal Polynomial Projections"; 2022, "Efficiently Modeling Long
Sequences with Structured State Spaces", theorem 1; 2023, "How to Train Your HiPPO". Scaled as in state-spaces/s4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smrdsl.ops.s4 import RANKS

Real = NDArray[np.floating[Any]]
Complex = NDArray[np.complexfloating[Any, Any]]

B_CLIP = 2.0
"""Bound of Im B, as published: at N = 64 the largest would be 40.75."""


@dataclass(frozen=True)
class Nplr:
    """Lambda (N/2), P (rank, N/2) and B (N/2) in the basis of the columns of V (N, N/2); B is not clipped."""

    lam: Complex
    p: Complex
    b: Complex
    v: Complex

    @property
    def clipped_b(self) -> Complex:
        return self.b.real + 1j * np.clip(self.b.imag, -B_CLIP, B_CLIP)


def transition(measure: str, n: int) -> tuple[Real, Real]:
    """A (N, N) and B (N) of x' = A x + B u."""
    row, column = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    root = np.sqrt(2 * np.arange(n) + 1.0)
    if measure == "legs":
        below = np.where(row > column, np.outer(root, root), 0.0)
        return -(below + np.diag(np.arange(n) + 1.0)), root
    if measure == "legt":
        sign = np.where(row < column, (-1.0) ** (row - column), 1.0)
        return -0.5 * sign * np.outer(root, root), 0.5 * root
    if measure == "lagt":
        return np.eye(n) / 2 - np.tril(np.ones((n, n))), np.ones(n)
    assert measure == "fout", measure
    b = fourier_constants(n)
    return fourier_rotation(n) - np.outer(b, b), b


def correction(measure: str, n: int, rank: int) -> Real:
    """P (rank, N) with A + P^T P normal; rows beyond those needed are zero."""
    assert rank >= RANKS[measure], (measure, rank)
    root = np.sqrt(np.arange(n) + 0.5)
    even = np.arange(n) % 2 == 0
    rows = {
        "legs": [root],
        "legt": [np.where(even, 0.0, root), np.where(even, root, 0.0)],
        "lagt": [np.full(n, np.sqrt(0.5))],
        "fout": [fourier_constants(n)],
    }[measure]
    return np.concatenate([np.stack(rows), np.zeros((rank - len(rows), n))])


def fourier_constants(n: int) -> Real:
    """The value at the end of the window of each function: 1, then sqrt 2 for cosines, 0 for sines."""
    b = np.where(np.arange(n) % 2 == 0, np.sqrt(2.0), 0.0)
    b[0] = 1.0
    return b


def fourier_rotation(n: int) -> Real:
    """Cosine and sine of the k-th frequency turn into each other with the angular speed pi k."""
    speed = np.zeros(n - 1)
    speed[::2] = np.pi * np.arange(n // 2)
    return np.diag(speed, -1) - np.diag(speed, 1)


@cache
def nplr(measure: str, n: int, rank: int = 1) -> Nplr:
    """The diagonal-plus-low-rank form for an even N.

    An eigenvector is free up to a phase, on which the clip of B depends: as LAPACK leaves it, its first entry is real.
    """
    b = transition(measure, n)[1]
    p = correction(measure, n, rank)
    lam, v = spectrum(measure, n, rank)
    lam, v = lam[: n // 2], v[:, : n // 2].copy()
    if abs(lam[-1].imag) < 1e-4:
        # The two constants of fout share the eigenvalue 0; this is the pair that published models take.
        v[:, -1] = 0.0
        v[:2, -1] = np.sqrt(0.5), 1j * np.sqrt(0.5)
    v = from_real(v)
    return Nplr(lam, p @ v.conj(), b @ v.conj(), v)


@cache
def spectrum(measure: str, n: int, rank: int = 1) -> tuple[Complex, Complex]:
    """All eigenvalues of A + P P^T for any N, most negative Im first, and the columns V (N, N) of eigenvectors.

    A + P P^T is a multiple of the identity plus a skew matrix, so Im Lambda and V are those of a Hermitian one.
    """
    p = correction(measure, n, rank)
    normal = transition(measure, n)[0] + p.T @ p
    re = np.mean(np.diag(normal))
    im, v = np.linalg.eigh(-1j * (normal - re * np.eye(n)))
    return re + 1j * im, from_real(v.astype(np.complex128))


def from_real(v: Complex) -> Complex:
    """Eigenvectors turned so that the first entry of each is real."""
    lead = np.take_along_axis(v, np.argmax(np.abs(v) > 1e-8, axis=0)[None], axis=0)
    return v * (np.conj(lead) / np.abs(lead))
