"""Loops, classes and routines of machine code, against a listing whose numbers are counted by hand."""

from __future__ import annotations

import pytest

from bench.sass import mix
from bench.sass.budgets import count_instructions
from bench.sass.cubin import Function, kernels
from bench.sass.disassembly import Instruction, parse
from bench.sass.hot_loops import HotLoop, cost
from bench.sass.kernel_code import KernelCode
from bench.sass.loops import loops_of, straight_path
from bench.sass.nvrtc import Resources
from bench.sass.occupancy import blocks_per_multiprocessor

LISTING = """
//--------------------- .text.walk            --------------------------
	.section	.text.walk,"ax",@progbits
        .global         walk
walk:
.text.walk:
        /*0000*/                   S2R R0, SR_TID.X ;
        /*0010*/                   ISETP.GE.AND P0, PT, R0, UR4, PT ;
        /*0020*/               @P0 EXIT ;
.L_x_0:
        /*0030*/                   MOV R2, RZ ;
.L_x_1:
        /*0040*/                   LDG.E.U8 R3, desc[UR4][R4.64] ;
        /*0050*/              @!P1 BRA `(.L_x_2) ;
        /*0060*/                   FADD R3, R3, 1 ;
        /*0070*/                   FADD R3, R3, 2 ;
        /*0080*/                   STG.E.128 desc[UR4][R4.64], R8 ;
.L_x_2:
        /*0090*/                   IMAD.WIDE.U32 R4, R2, 0x4, R4 ;
        /*00a0*/                   IMAD.MOV.U32 R5, RZ, RZ, R3 ;
        /*00b0*/              @!P0 BRA `(.L_x_1) ;
        /*00c0*/                   CALL.REL.NOINC `($__internal_0_$division) ;
        /*00d0*/              @!P2 BRA `(.L_x_0) ;
        /*00e0*/                   EXIT ;
        .type           $__internal_0_$division,@function
        .size           $__internal_0_$division,(.L_x_9 - $__internal_0_$division)
$__internal_0_$division:
        /*00f0*/                   FFMA.FTZ R1, R1.reuse, R2, R3 ;
        /*0100*/                   RET.REL.NODEC R6 `(walk) ;
.L_x_3:
        /*0110*/                   BRA `(.L_x_3);
        /*0120*/                   NOP;
.L_x_9:
"""


def test_instructions_labels_and_routines_are_read() -> None:
    code = parse(LISTING)["walk"]
    assert len(code.instructions) == 19
    assert code.instructions[5] == Instruction("@!P1", "BRA", "`(.L_x_2)", (".L_x_2",))
    assert code.subroutines == {"$__internal_0_$division": 15}
    assert len(code.main) == 15
    routines = dict.fromkeys(routine for routine, _ in code.by_routine())
    assert list(routines) == ["", "$__internal_0_$division"]
    assert [i.name for routine, i in code.by_routine() if routine][:2] == ["FFMA", "RET"]


def test_loops_are_nested_and_counted() -> None:
    (outer,) = loops_of(parse(LISTING)["walk"])
    (inner,) = outer.inner
    assert (outer.head, outer.depth, len(outer.body)) == (3, 1, 11)
    assert [i.name for i in outer.own] == ["MOV", "CALL", "BRA"]
    assert (inner.head, inner.depth, len(inner.body), inner.inner) == (4, 2, 8, [])
    # the path that stores, not the shorter one around the store
    assert [i.name for i in inner.path] == ["LDG", "BRA", "FADD", "FADD", "STG", "IMAD", "IMAD", "BRA"]
    assert [i.name for i in inner.lean] == ["LDG", "BRA", "IMAD", "IMAD", "BRA"]


def test_the_straight_path_leaves_loops_out() -> None:
    code = parse(LISTING)["walk"]
    assert [i.name for i in straight_path(code)] == ["S2R", "ISETP", "EXIT", "EXIT"]
    assert [i.name for i in straight_path(code, None)] == ["S2R", "ISETP", "EXIT"]


def test_a_jump_table_leads_to_every_case() -> None:
    text = """
	.section	.text.choose,"ax",@progbits
.L_a:
        /*0000*/                   LDC R2, c[0x2][R0] ;
        /*0010*/                   BRX R2 -0x20                                       (*"BRANCH_TARGETS .L_b,.L_c"*);
.L_b:
        /*0020*/              @!P0 BRA `(.L_a) ;
        /*0030*/                   EXIT ;
.L_c:
        /*0040*/                   STG.E.U16 desc[UR4][R2.64], R5 ;
        /*0050*/                   BRA `(.L_a) ;
"""
    code = parse(text)["choose"]
    assert code.instructions[1].targets == (".L_b", ".L_c")
    (loop,) = loops_of(code)
    assert len(loop.body) == 5  # all but the EXIT
    assert [i.name for i in loop.path] == ["LDC", "BRX", "STG", "BRA"]


def test_classes() -> None:
    counts = mix.count(parse(LISTING)["walk"].instructions)
    assert counts["LDG.8"] == counts["STG.128"] == 1
    assert counts["FADD/FMUL"] == 2
    assert (counts["FFMA"], counts["CALL"]) == (1, 1)
    assert counts["IMAD"] == 1  # a move by IMAD is no product
    assert counts["integer"] == 4  # S2R, ISETP, MOV, IMAD.MOV
    assert sum(counts.values()) == 18  # without the NOP


def _kernel(text: str, name: str) -> KernelCode:
    code = parse(text)[name]
    return KernelCode("module", Function(name, 32, 0, 8, 19, 256), Resources(), code, loops_of(code))


def test_a_hot_loop_is_known_by_what_it_stores() -> None:
    kernel = _kernel(LISTING, "walk")
    stored = cost(HotLoop("walk", r"STG", 4), kernel)
    assert (stored.items, stored.instructions) == (4, 8 / 4)  # 16 bytes, in 8 instructions
    assert [len(loop.lean) for loop in stored.enclosing] == [3]
    assert cost(HotLoop("walk", r"LDG\.8", loads=1), kernel).instructions == 8
    assert cost(HotLoop("walk", r"LDG\.8", through="IMAD"), kernel).instructions == 5  # around the store


def test_a_hot_loop_is_known_by_its_depth() -> None:
    kernel = _kernel(LISTING, "walk")
    inner = cost(HotLoop("walk", "STG", depth=2), kernel)
    assert [len(loop.lean) for loop in inner.enclosing] == [3]
    assert str(HotLoop("walk", "STG", depth=2)) == "walk: STG, depth 2"
    with pytest.raises(LookupError, match="no loop of walk fits"):
        cost(HotLoop("walk", "STG", depth=3), kernel)


def test_a_hot_loop_that_is_not_there_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no loop of walk fits the hot loop walk: RED, 4 B: describe it anew"):
        cost(HotLoop("walk", "RED", 4), _kernel(LISTING, "walk"))


def test_budgets_are_per_item_and_of_straight_code() -> None:
    assert count_instructions([HotLoop("walk", "STG", 4)], {"walk": _kernel(LISTING, "walk")}) == {
        "walk: STG, 4 B": 2.0,
        "walk: straight": 4,
    }


def test_bytes_that_are_no_elf_file_are_refused() -> None:
    with pytest.raises(ValueError, match="a cubin is a 64-bit little-endian ELF file, found the first bytes b'PTX'"):
        kernels(b"PTX")


@pytest.mark.parametrize(
    ("registers", "warps", "blocks"),
    [(64, 64, 4), (65, 64, 3), (70, 64, 3), (40, 64, 6), (20, 64, 8), (20, 48, 6), (255, 64, 1)],
)
def test_blocks_per_multiprocessor(registers: int, warps: int, blocks: int) -> None:
    """Blocks of 256 threads; registers of a thread come in eights: 65536 / (256 · 72) = 3.6 of 70."""
    assert blocks_per_multiprocessor(registers, warps=warps) == blocks


def test_shared_memory_bounds_the_blocks() -> None:
    assert blocks_per_multiprocessor(20, shared=47 << 10) == 4


def test_smaller_blocks_take_fewer_registers() -> None:
    """65536 / (128 · 80) = 6.4."""
    assert blocks_per_multiprocessor(80, threads=128) == 6
