//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The inner loops with NEON. What each computes, and in which order, stands in
// kernels_generic.go; here it is done 16 floats at a time, to the same bits, in the order of
// kernels_amd64.s and with the names of its macros.
//
// A register has four floats. Go's assembler (that of the oldest Go which go.mod allows)
// lacks most of NEON's arithmetic with floats. So it is here by its encodings, with the rest
// that the blocks below need. Operands are numbers of registers, from sources to
// destination as everywhere in Go's assembler (STRQ's d is what is stored):
//
//	FSUB(b, a, c)           c = a − b
//	FDIV(b, a, c)           c = a/b
//	FMLA(a, b, c)           c = a·b + c, fused
//	FMULE(e, b, c)          c = e·b, where e is the first float of its register
//	FMLAE(e, b, c)          c = e·b + c, fused
//	FMLSE(e, b, c)          c = −e·b + c, fused
//	FCMGT(b, a, c)          c = a > b, all ones or all zeros; CMHI: of integers ≥ 0
//	BIC(b, a, c)            c = a and not b
//	BIT(m, a, c)            c = m ? a : c
#define OP2(code, n, d) WORD $(code | (n)<<5 | (d))
#define OP3(code, m, n, d) WORD $(code | (m)<<16 | (n)<<5 | (d))

#define FADD(m, n, d) OP3(0x4e20d400, m, n, d)         // fadd d.4s, n.4s, m.4s
#define FSUB(m, n, d) OP3(0x4ea0d400, m, n, d)         // fsub d.4s, n.4s, m.4s
#define FMUL(m, n, d) OP3(0x6e20dc00, m, n, d)         // fmul d.4s, n.4s, m.4s
#define FMULE(m, n, d) OP3(0x4f809000, m, n, d)        // fmul d.4s, n.4s, m.s[0]
#define FDIV(m, n, d) OP3(0x6e20fc00, m, n, d)         // fdiv d.4s, n.4s, m.4s
#define FMLA(m, n, d) OP3(0x4e20cc00, m, n, d)         // fmla d.4s, n.4s, m.4s
#define FMLAE(m, n, d) OP3(0x4f801000, m, n, d)        // fmla d.4s, n.4s, m.s[0]
#define FMLSE(m, n, d) OP3(0x4f805000, m, n, d)        // fmls d.4s, n.4s, m.s[0]
#define FCMGT(m, n, d) OP3(0x6ea0e400, m, n, d)        // fcmgt d.4s, n.4s, m.4s
#define FCMLT0(n, d) OP2(0x4ea0e800, n, d)             // fcmlt d.4s, n.4s, #0.0
#define FABS(n, d) OP2(0x4ea0f800, n, d)               // fabs d.4s, n.4s
#define FNEG(n, d) OP2(0x6ea0f800, n, d)               // fneg d.4s, n.4s
#define FSQRT(n, d) OP2(0x6ea1f800, n, d)              // fsqrt d.4s, n.4s
#define FRINTN(n, d) OP2(0x4e218800, n, d)             // frintn d.4s, n.4s (to nearest, ties to even)
#define FCVTNS(n, d) OP2(0x4e21a800, n, d)             // fcvtns d.4s, n.4s (to integers)
#define MOVE(n, d) OP3(0x4ea01c00, n, n, d)            // mov d.16b, n.16b
#define AND(m, n, d) OP3(0x4e201c00, m, n, d)          // and d.16b, n.16b, m.16b
#define BIC(m, n, d) OP3(0x4e601c00, m, n, d)          // bic d.16b, n.16b, m.16b
#define EOR(m, n, d) OP3(0x6e201c00, m, n, d)          // eor d.16b, n.16b, m.16b
#define BIT(m, n, d) OP3(0x6ea01c00, m, n, d)          // bit d.16b, n.16b, m.16b
#define IADD(m, n, d) OP3(0x4ea08400, m, n, d)         // add d.4s, n.4s, m.4s
#define IMUL(m, n, d) OP3(0x4ea09c00, m, n, d)         // mul d.4s, n.4s, m.4s
#define CMHI(m, n, d) OP3(0x6ea03400, m, n, d)         // cmhi d.4s, n.4s, m.4s
#define SHL23(n, d) OP2(0x4f375400, n, d)              // shl d.4s, n.4s, #23
#define USHR(k, n, d) OP2(0x6f000400|(64-(k))<<16, n, d) // ushr d.4s, n.4s, #k
#define LDRQ(m, n, d) OP3(0x3ce06800, m, n, d)         // ldr qd, [xn, xm], where x31 is 0
#define STRQ(m, n, d) OP3(0x3ca06800, m, n, d)         // str qd, [xn, xm]
#define DUP(n, d) OP2(0x4e040400, n, d)                // dup d.4s, n.s[0]
#define DUP1(n, d) OP2(0x4e0c0400, n, d)               // dup d.4s, n.s[1]
#define DUPHIGH(n, d) OP2(0x4e180400, n, d)            // dup d.2d, n.d[1]

// A block of 16 floats is in four registers: B0 in V0 to V3, B4 in V4 to V7, and so on.
// ALL does an instruction for all four; ONE(r) is for an operand that is the same for
// all, and ALL2 for instructions of two operands.
#define ALL(op, x, y, z)                  \
	op(x(FIRST), y(FIRST), z(FIRST))      \
	op(x(SECOND), y(SECOND), z(SECOND))   \
	op(x(THIRD), y(THIRD), z(THIRD))      \
	op(x(FOURTH), y(FOURTH), z(FOURTH))
#define ALL2(op, x, y)                    \
	op(x(FIRST), y(FIRST))                \
	op(x(SECOND), y(SECOND))              \
	op(x(THIRD), y(THIRD))                \
	op(x(FOURTH), y(FOURTH))

// So B4(SECOND) is 5, ONE(31)(SECOND) is 31, be it V31 or the number 31, and B4(LIST) is what
// VLD1 and VST1 want.
#define FIRST(a, b, c, d, v, w, x, y) a
#define SECOND(a, b, c, d, v, w, x, y) b
#define THIRD(a, b, c, d, v, w, x, y) c
#define FOURTH(a, b, c, d, v, w, x, y) d
#define LIST(a, b, c, d, v, w, x, y) [v.S4, w.S4, x.S4, y.S4]
#define B0(part) part(0, 1, 2, 3, V0, V1, V2, V3)
#define B4(part) part(4, 5, 6, 7, V4, V5, V6, V7)
#define B8(part) part(8, 9, 10, 11, V8, V9, V10, V11)
#define B12(part) part(12, 13, 14, 15, V12, V13, V14, V15)
#define B16(part) part(16, 17, 18, 19, V16, V17, V18, V19)
#define B20(part) part(20, 21, 22, 23, V20, V21, V22, V23)
#define B24(part) part(24, 25, 26, 27, V24, V25, V26, V27)
#define MASK B8
#define ONE(r) r DROP
#define DROP(part)

// The moves of a block, R8 bytes after the beginning of a slice. They use R10.
#define LOAD(slice, block)            \
	ADD  R8, slice, R10               \
	VLD1 (R10), block(LIST)
#define STORE(slice, block)           \
	ADD  R8, slice, R10               \
	VST1 block(LIST), (R10)

// The same for the first R9 floats of a block, by way of the 64 bytes at R11, which are 0
// before the first load; others are not touched, and read as 0. They use R12 to R14 and R16.
#define LOADMASKED(slice, block)      \
	ADD  R8, slice, R12               \
	MOVD R11, R13                     \
	CALL copy<>(SB)                   \
	VLD1 (R11), block(LIST)
#define STOREMASKED(slice, block)     \
	VST1 block(LIST), (R11)           \
	MOVD R11, R12                     \
	ADD  R8, slice, R13               \
	CALL copy<>(SB)

// copy copies R9 floats, at least one, from R12 to R13.
TEXT copy<>(SB), NOSPLIT, $0
	MOVD R9, R14

one:
	MOVWU.P 4(R12), R16
	MOVW.P  R16, 4(R13)
	SUBS    $1, R14
	BNE     one
	RET

// The tile of the matrix product (t *tile), as in kernels_amd64.s, with these differences.
//
// Registers hold the whole tile, four to a row. Each step loads four registers of b and,
// for each row, one element of a that all four are multiplied with: FMLAE takes it as it
// lies, where filling a register with it would cost a turn of the units that multiply.
//
// Nothing is masked: columns come in groups of four, and where there are fewer than 16 the
// groups overlap as those of rows do. b is left to the hardware's own prefetching.
//
// t: R0. a: R1 and R2 are its groups, R3 the step to the next row, R4 twice that, R5 the
// step along k. b: R6, its step R7. R16: steps of k until the next fetch, R15 those after
// it. The places of the groups of columns in a row, in bytes: 0, R10, R11, R14; R17 is the
// greatest that there may be. R8 and R9: start or c, and its step; while k runs, the c to
// fetch. R12 and R13: t.next and its step.

// GROUP makes r point to the first row of group g of a matrix.
#define GROUP(g, matrix, step, r)     \
	MOVD tile_group+8*g(R0), r        \
	MADD step, matrix, r, r

// ROWS moves the six rows of a tile, from start (LDRQ) or to c (STRQ), MOVEROW one of them.
#define ROWS(move, base, step)        \
	MOVD base(R0), R8                 \
	MOVD step(R0), R9                 \
	LSL  $2, R9                       \
	MOVEROW(move, B0)                 \
	MOVEROW(move, B4)                 \
	MOVEROW(move, B8)                 \
	MOVD base(R0), R12                \
	GROUP(1, R12, R9, R8)             \
	MOVEROW(move, B12)                \
	MOVEROW(move, B16)                \
	MOVEROW(move, B20)
#define MOVEROW(move, row)            \
	ALL(move, PLACES, ONE(8), row)    \
	ADD R9, R8
#define PLACES(part) part(31, 10, 11, 14, ZR, R10, R11, R14)

// PLACE makes r the place of four columns, in bytes: 16·g or, if they are not all there,
// that of the last four, R17.
#define PLACE(g, r)                   \
	MOVD $(16*g), r                   \
	CMP  R17, r                       \
	CSEL LT, r, R17, r

// ROW adds element·b to a row of the tile; t is for the element.
#define ROW(element, f, t, row)       \
	FMOVS element, f                  \
	ALL(FMLAE, ONE(t), B24, row)

// FETCH fetches a row of each (of t.next, fetchCols floats), and makes R16 the steps until
// the next one: depth/fetchRows + 1, or what is left.
#define FETCH                         \
	PRFM (R8), PLDL1KEEP              \
	PRFM (R12), PLDL1KEEP             \
	PRFM 64(R12), PLDL1KEEP           \
	PRFM 128(R12), PLDL1KEEP          \
	PRFM 192(R12), PLDL1KEEP          \
	ADD  R9, R8                       \
	ADD  R13, R12                     \
	MOVD tile_depth(R0), R16          \
	LSR  $4, R16                      \
	ADD  $1, R16                      \
	CMP  R16, R15                     \
	CSEL LT, R15, R16, R16            \
	SUB  R16, R15

// func tileColumnsNEON(t *tile)
//
// 6 rows of 16: the tile is B0 to B20, b B24, elements of a V28 to V31. Requires at least
// four columns.
TEXT ·tileColumnsNEON(SB), NOSPLIT, $0-8
	MOVD t+0(FP), R0
	MOVD tile_cols(R0), R17
	LSL  $2, R17
	SUB  $16, R17
	PLACE(1, R10)
	PLACE(2, R11)
	PLACE(3, R14)
	ROWS(LDRQ, tile_start, tile_startRow)

	MOVD tile_a(R0), R1
	MOVD tile_aRow(R0), R3
	MOVD tile_aStep(R0), R5
	MOVD tile_b(R0), R6
	MOVD tile_bRow(R0), R7
	LSL  $2, R3
	LSL  $1, R3, R4
	LSL  $2, R5
	LSL  $2, R7
	GROUP(1, R1, R3, R2)

	MOVD tile_c(R0), R8
	MOVD tile_nextC(R0), R9
	ADD  R9<<2, R8
	MOVD tile_cRow(R0), R9
	MOVD tile_next(R0), R12
	MOVD tile_nextRow(R0), R13
	LSL  $2, R9
	LSL  $2, R13
	MOVD tile_depth(R0), R15

fetch:
	FETCH

loop:
	ALL(LDRQ, PLACES, ONE(6), B24)
	ROW((R1), F28, 28, B0)
	ROW((R1)(R3), F29, 29, B4)
	ROW((R1)(R4), F30, 30, B8)
	ROW((R2), F31, 31, B12)
	ROW((R2)(R3), F28, 28, B16)
	ROW((R2)(R4), F29, 29, B20)
	ADD  R5, R1
	ADD  R5, R2
	ADD  R7, R6
	SUBS $1, R16
	BNE  loop
	CBNZ R15, fetch
	ROWS(STRQ, tile_c, tile_cRow)
	RET

// The vector kernels: slices of one length, 16 floats at a time.

// EACH runs body over all blocks of slices of length n. loads and stores are lists of
// the blocks to move; they get the name of the move. R8 is the place of the block, in
// bytes; R9 counts what is left. The 0 to 15 floats that are left at the end go
// through the same body, but are moved by way of the stack, of which the function has 64
// bytes. MASK, which is only for bodies that do not load B, tells which floats are there.
#define EACH(n, loads, body, stores)  \
	MOVD  n, R9                       \
	MOVD  ZR, R8                      \
	VMOVI $255, V8.B16                \
	VMOVI $255, V9.B16                \
	VMOVI $255, V10.B16               \
	VMOVI $255, V11.B16               \
	SUBS  $16, R9                     \
	BLT   tail                        \
loop:                                 \
	loads(LOAD)                       \
	body                              \
	stores(STORE)                     \
	ADD   $64, R8                     \
	SUBS  $16, R9                     \
	BGE   loop                        \
tail:                                 \
	ADDS  $16, R9                     \
	BEQ   done                        \
	MOVD  $·tailMask+64(SB), R10      \
	SUB   R9<<2, R10                  \
	VLD1  (R10), MASK(LIST)           \
	MOVD  $block-64(SP), R11          \
	STP   (ZR, ZR), (R11)             \
	STP   (ZR, ZR), 16(R11)           \
	STP   (ZR, ZR), 32(R11)           \
	STP   (ZR, ZR), 48(R11)           \
	loads(LOADMASKED)                 \
	body                              \
	stores(STOREMASKED)               \
done:

// The lists for EACH: Y is a slice at R0, its block in B0; A, B and C are slices at R1,
// R2 and R3, their blocks in B4, B8 and B12; YA is Y and A, and so on.
#define NONE(move)
#define Y(move) move(R0, B0)
#define A(move) move(R1, B4)
#define AB(move) A(move)              \
	move(R2, B8)
#define ABC(move) AB(move)            \
	move(R3, B12)
#define YA(move) Y(move)              \
	A(move)
#define YAB(move) Y(move)             \
	AB(move)
#define YABC(move) Y(move)            \
	ABC(move)

// TOTAL folds the 16 lanes of a block by halves, 8, 4, 2, 1, to its first float. It uses
// V30.
#define TOTAL(op, block)              \
	op(block(THIRD), block(FIRST), block(FIRST)) \
	op(block(FOURTH), block(SECOND), block(SECOND)) \
	op(block(SECOND), block(FIRST), block(FIRST)) \
	DUPHIGH(block(FIRST), 30)         \
	op(30, block(FIRST), block(FIRST)) \
	DUP1(block(FIRST), 30)            \
	op(30, block(FIRST), block(FIRST))

// SUM is the total of sums. Adding 0 makes it 0 where it would be −0.
#define SUM(block)                    \
	TOTAL(FADD, block)                \
	EOR(30, 30, 30)                   \
	FADD(30, block(FIRST), block(FIRST))

// ZERO sets a block to zero, FILL a register to a number from memory (FMOVS is enough where
// only FMULE, FMLAE and FMLSE read it), SET a block to a constant. WITH is ALL with a constant
// for one of these three. SET and WITH leave the constant in the first float of V31.
#define ZERO(block) ALL(EOR, block, block, block)
#define FILL(arg, f, t)               \
	FMOVS arg, f                      \
	DUP(t, t)
#define SET(constant, block)          \
	FMOVS constant, F31               \
	ALL2(DUP, ONE(31), block)
#define WITH(op, constant, y, z)      \
	FMOVS constant, F31               \
	ALL(op, ONE(31), y, z)

// CONSTANT(i) is constants[i] of kernels_numbers.go, to which R15 points.
#define CONSTANTS MOVD $·constants(SB), R15
#define CONSTANT(i) (4*i)(R15)

// HORNER: q = p·x + constant i.
#define HORNER(i, x, p, q)            \
	SET(CONSTANT(i), q)               \
	ALL(FMLA, x, p, q)

// func addNEON(y, x []float32)
//	for i { y[i] += x[i] }
// y: R0, B0; x: R1, B4.
TEXT ·addNEON(SB), NOSPLIT, $64-48
	MOVD y_base+0(FP), R0
	MOVD x_base+24(FP), R1
	EACH(y_len+8(FP), YA, ALL(FADD, B4, B0, B0), Y)
	RET

// func mulAddNEON(y, a, b []float32)
//	for i { y[i] = fma(a[i], b[i], y[i]) }
// y: R0, B0; a: R1, B4; b: R2, B8.
TEXT ·mulAddNEON(SB), NOSPLIT, $64-72
	MOVD y_base+0(FP), R0
	MOVD a_base+24(FP), R1
	MOVD b_base+48(FP), R2
	EACH(y_len+8(FP), YAB, ALL(FMLA, B8, B4, B0), Y)
	RET

// func scaleNEON(y []float32, s float32)
//	for i { y[i] *= s }
// y: R0, B0; s: V28.
TEXT ·scaleNEON(SB), NOSPLIT, $64-28
	MOVD  y_base+0(FP), R0
	FMOVS s+24(FP), F28
	EACH(y_len+8(FP), Y, ALL(FMULE, ONE(28), B0, B0), Y)
	RET

// func sumNEON(x []float32) float32
//	for i { lane[i%16] += x[i] }; return total(lane)
// x: R1, B4; lanes: B0.
TEXT ·sumNEON(SB), NOSPLIT, $64-28
	MOVD x_base+0(FP), R1
	ZERO(B0)
	EACH(x_len+8(FP), A, ALL(FADD, B4, B0, B0), NONE)
	SUM(B0)
	FMOVS F0, ret+24(FP)
	RET

// func dotNEON(a, b []float32) float32
//	for i { lane[i%16] = fma(a[i], b[i], lane[i%16]) }; return total(lane)
// a: R1, B4; b: R2, B8; lanes: B0.
TEXT ·dotNEON(SB), NOSPLIT, $64-52
	MOVD a_base+0(FP), R1
	MOVD b_base+24(FP), R2
	ZERO(B0)
	EACH(a_len+8(FP), AB, ALL(FMLA, B8, B4, B0), NONE)
	SUM(B0)
	FMOVS F0, ret+48(FP)
	RET

// func squaresNEON(x []float32, center float32) float32
//	for i { d = x[i] − center; lane[i%16] = fma(d, d, lane[i%16]) }; return total(lane)
// x: R1, B4, and d, 0 where no x is; lanes: B0; center: V28.
#define SQUARES                       \
	ALL(FSUB, ONE(28), B4, B4)        \
	ALL(AND, MASK, B4, B4)            \
	ALL(FMLA, B4, B4, B0)

TEXT ·squaresNEON(SB), NOSPLIT, $64-36
	MOVD x_base+0(FP), R1
	FILL(center+24(FP), F28, 28)
	ZERO(B0)
	EACH(x_len+8(FP), A, SQUARES, NONE)
	SUM(B0)
	FMOVS F0, ret+32(FP)
	RET

// func maximumNEON(x []float32) float32
//	for i { if x[i] > lane[i%16] { lane[i%16] = x[i] } }; return the greatest lane
// x: R1, B4; lanes: B0; where an x is there and greater: B12.
#define MAXIMUM                       \
	ALL(FCMGT, B0, B4, B12)           \
	ALL(AND, MASK, B12, B12)          \
	ALL(BIT, B12, B4, B0)

// GREATER: c = a > c ? a : c, for TOTAL; it uses V29. (NEON's own maximum takes 0 for more than
// −0, and a NaN for the most.)
#define GREATER(a, b, c)              \
	FCMGT(c, a, 29)                   \
	BIT(29, a, c)

TEXT ·maximumNEON(SB), NOSPLIT, $64-28
	MOVD x_base+0(FP), R1
	CONSTANTS
	SET(CONSTANT(19), B0)
	EACH(x_len+8(FP), A, MAXIMUM, NONE)
	TOTAL(GREATER, B0)
	FMOVS F0, ret+24(FP)
	RET

// EXP is exp of B0, in place; it uses B12, B16, B20, B24 and V31.
//
//	n = round(x·log₂e)             B12
//	r = x − n·ln 2                 B16
//	p = e^r, by Horner's rule      B20 and B24
//	x = x < expLowest ? 0 : p·2ⁿ   (n·2²³ plus the bits of 1, in V31, are the bits of 2ⁿ)
#define EXP                           \
	WITH(FMULE, CONSTANT(0), B0, B12) \
	ALL2(FRINTN, B12, B12)            \
	ALL2(MOVE, B0, B16)               \
	WITH(FMLAE, CONSTANT(1), B12, B16) \
	WITH(FMLAE, CONSTANT(2), B12, B16) \
	SET(CONSTANT(3), B20)             \
	HORNER(4, B16, B20, B24)          \
	HORNER(5, B16, B24, B20)          \
	HORNER(6, B16, B20, B24)          \
	HORNER(7, B16, B24, B20)          \
	HORNER(8, B16, B20, B24)          \
	HORNER(8, B16, B24, B20)          \
	ALL2(FCVTNS, B12, B12)            \
	ALL2(SHL23, B12, B12)             \
	DUP(31, 31)                       \
	ALL(IADD, ONE(31), B12, B12)      \
	ALL(FMUL, B12, B20, B20)          \
	FILL(CONSTANT(9), F31, 31)        \
	ALL(FCMGT, B0, ONE(31), B0)       \
	ALL(BIC, B0, B20, B0)

// func expSumNEON(x []float32, max, scale float32) float32
//	for i { x[i] = exp((x[i] − max)·scale); lane[i%16] += x[i] }; return total(lane)
// x: R0, B0; lanes: B4; max: V28; scale: V29.
#define EXPSUM                        \
	ALL(FSUB, ONE(28), B0, B0)        \
	ALL(FMULE, ONE(29), B0, B0)       \
	EXP                               \
	ALL(AND, MASK, B0, B12)           \
	ALL(FADD, B12, B4, B4)

TEXT ·expSumNEON(SB), NOSPLIT, $64-36
	MOVD  x_base+0(FP), R0
	FILL(max+24(FP), F28, 28)
	FMOVS scale+28(FP), F29
	CONSTANTS
	ZERO(B4)
	EACH(x_len+8(FP), Y, EXPSUM, Y)
	SUM(B4)
	FMOVS F4, ret+32(FP)
	RET

// func softmaxBackwardNEON(dp, p []float32, dot, scale float32)
//	for i { dp[i] = ((dp[i] − dot)·p[i])·scale }
// dp: R0, B0; p: R1, B4; dot: V28; scale: V29.
#define SOFTMAXBACKWARD               \
	ALL(FSUB, ONE(28), B0, B0)        \
	ALL(FMUL, B4, B0, B0)             \
	ALL(FMULE, ONE(29), B0, B0)

TEXT ·softmaxBackwardNEON(SB), NOSPLIT, $64-56
	MOVD  dp_base+0(FP), R0
	MOVD  p_base+24(FP), R1
	FILL(dot+48(FP), F28, 28)
	FMOVS scale+52(FP), F29
	EACH(dp_len+8(FP), YA, SOFTMAXBACKWARD, Y)
	RET

// SIDE is B16 = x < 0 ? B20 : B16, where x is B4; it uses B24.
#define SIDE                          \
	ALL2(FCMLT0, B4, B24)             \
	ALL(BIT, B24, B20, B16)

// NORMAL makes of x in B4 the normal distribution at x in B16 and e = e^(−x²/2) in
// B0; it uses B12, B20, B24, V30 and V31.
//
//	t = 1/(tailScale·|x| + 1)      B12
//	tail = t·p(t)·e                B20
//	x < 0 ? tail : 1 − tail        B16
#define NORMAL                        \
	WITH(FMULE, CONSTANT(10), B4, B0) \
	ALL(FMUL, B4, B0, B0)             \
	EXP                               \
	ALL2(FABS, B4, B12)               \
	SET(CONSTANT(8), B16)             \
	DUP(31, 30)                       \
	WITH(FMLAE, CONSTANT(11), B12, B16) \
	ALL(FDIV, B16, ONE(30), B12)      \
	SET(CONSTANT(12), B16)            \
	HORNER(13, B12, B16, B20)         \
	HORNER(14, B12, B20, B16)         \
	HORNER(15, B12, B16, B20)         \
	HORNER(16, B12, B20, B16)         \
	HORNER(17, B12, B16, B20)         \
	ALL(FMUL, B12, B20, B20)          \
	ALL(FMUL, B0, B20, B20)           \
	ALL(FSUB, B20, ONE(30), B16)      \
	SIDE

// func geluNEON(y, x []float32)
//	for i { y[i] = x[i]·Φ(x[i]) }
// y: R0, B0; x: R1, B4.
#define GELU                          \
	NORMAL                            \
	ALL(FMUL, B16, B4, B0)

TEXT ·geluNEON(SB), NOSPLIT, $64-48
	MOVD y_base+0(FP), R0
	MOVD x_base+24(FP), R1
	CONSTANTS
	EACH(y_len+8(FP), A, GELU, Y)
	RET

// func geluBackwardNEON(dx, dy, x []float32)
//	for i { dx[i] = dy[i]·fma(x[i], φ(x[i]), Φ(x[i])) }
// dx: R0, B0; x: R1, B4; dy: R2, B8.
#define GELUBACKWARD                  \
	NORMAL                            \
	WITH(FMULE, CONSTANT(18), B0, B0) \
	ALL(FMLA, B0, B4, B16)            \
	ALL(FMUL, B16, B8, B0)

TEXT ·geluBackwardNEON(SB), NOSPLIT, $64-72
	MOVD dx_base+0(FP), R0
	MOVD dy_base+24(FP), R2
	MOVD x_base+48(FP), R1
	CONSTANTS
	EACH(dx_len+8(FP), AB, GELUBACKWARD, Y)
	RET

// LOGISTIC is B16 = σ(u), where u = x·(linear + cubic·x²), x is B4, and R4 points to linear and
// cubic; it uses B12, B20, B24 and V31, and leaves 1 in V30.
//
//	e = exp(−|u|)                B0
//	t = 1/(1 + e)                B16
//	σ = x < 0 ? e·t : t          B16 (u has the sign of x)
#define LOGISTIC                      \
	ALL(FMUL, B4, B4, B12)            \
	SET(0(R4), B0)                    \
	WITH(FMLAE, 4(R4), B12, B0)       \
	ALL(FMUL, B4, B0, B0)             \
	ALL2(FABS, B0, B0)                \
	ALL2(FNEG, B0, B0)                \
	EXP                               \
	FILL(CONSTANT(8), F30, 30)        \
	ALL(FADD, B0, ONE(30), B16)       \
	ALL(FDIV, B16, ONE(30), B16)      \
	ALL(FMUL, B0, B16, B20)           \
	SIDE

// func gatedNEON(y, x []float32, linear, cubic float32)
//	for i { y[i] = x[i]·σ(u[i]) }
// y: R0, B0; x: R1, B4.
#define GATED                         \
	LOGISTIC                          \
	ALL(FMUL, B16, B4, B0)

TEXT ·gatedNEON(SB), NOSPLIT, $64-56
	MOVD y_base+0(FP), R0
	MOVD x_base+24(FP), R1
	MOVD $linear+48(FP), R4
	CONSTANTS
	EACH(y_len+8(FP), A, GATED, Y)
	RET

// func gatedBackwardNEON(dx, dy, x []float32, linear, cubic, cubic3 float32)
//	for i { dx[i] = dy[i]·fma((1 − σ)·σ·x[i], linear + cubic3·x[i]², σ) }
// dx: R0, B0; x: R1, B4; dy: R2, B8.
#define GATEDBACKWARD                 \
	LOGISTIC                          \
	ALL(FSUB, B16, ONE(30), B0)       \
	ALL(FMUL, B16, B0, B0)            \
	ALL(FMUL, B4, B0, B0)             \
	ALL(FMUL, B4, B4, B12)            \
	SET(0(R4), B20)                   \
	WITH(FMLAE, 8(R4), B12, B20)      \
	ALL(FMLA, B0, B20, B16)           \
	ALL(FMUL, B16, B8, B0)

TEXT ·gatedBackwardNEON(SB), NOSPLIT, $64-84
	MOVD dx_base+0(FP), R0
	MOVD dy_base+24(FP), R2
	MOVD x_base+48(FP), R1
	MOVD $linear+72(FP), R4
	CONSTANTS
	EACH(dx_len+8(FP), AB, GATEDBACKWARD, Y)
	RET

// func normalizeNEON(y, xhat, x, gain, bias []float32, mean, rstd float32)
//	for i { xhat[i] = (x[i] − mean)·rstd; y[i] = fma(xhat[i], gain[i], bias[i]) }
// x: R1, B4; gain: R2, B8; bias: R3, B12; mean: V28; rstd: V29; xhat: R4, B4; y: R0, B12.
#define NORMALIZE                     \
	ALL(FSUB, ONE(28), B4, B4)        \
	ALL(FMULE, ONE(29), B4, B4)       \
	ALL(FMLA, B8, B4, B12)

#define NORMALIZE_STORES(move)        \
	move(R4, B4)                      \
	move(R0, B12)

TEXT ·normalizeNEON(SB), NOSPLIT, $64-128
	MOVD  y_base+0(FP), R0
	MOVD  xhat_base+24(FP), R4
	MOVD  x_base+48(FP), R1
	MOVD  gain_base+72(FP), R2
	MOVD  bias_base+96(FP), R3
	FILL(mean+120(FP), F28, 28)
	FMOVS rstd+124(FP), F29
	EACH(x_len+56(FP), ABC, NORMALIZE, NORMALIZE_STORES)
	RET

// func normalizeSumsNEON(dy, gain, xhat []float32) (sum, dot float32)
//	for i { g = dy[i]·gain[i]; s[i%16] += g; d[i%16] = fma(g, xhat[i], d[i%16]) }
//	return total(s), total(d)
// dy: R1, B4, and g; gain: R2, B8; xhat: R3, B12; s: B0; d: B16.
#define NORMALIZESUMS                 \
	ALL(FMUL, B8, B4, B4)             \
	ALL(FADD, B4, B0, B0)             \
	ALL(FMLA, B12, B4, B16)

TEXT ·normalizeSumsNEON(SB), NOSPLIT, $64-80
	MOVD dy_base+0(FP), R1
	MOVD gain_base+24(FP), R2
	MOVD xhat_base+48(FP), R3
	ZERO(B0)
	ZERO(B16)
	EACH(dy_len+8(FP), ABC, NORMALIZESUMS, NONE)
	SUM(B0)
	FMOVS F0, sum+72(FP)
	SUM(B16)
	FMOVS F16, dot+76(FP)
	RET

// func normalizeBackwardNEON(dx, dy, gain, xhat []float32, mean, dot, rstd float32)
//	for i { dx[i] = fma(−dot, xhat[i], dy[i]·gain[i] − mean)·rstd }
// dx: R0, B0; dy: R1, B4; gain: R2, B8; xhat: R3, B12; mean: V28; dot: V29; rstd: V30.
#define NORMALIZEBACKWARD             \
	ALL(FMUL, B8, B4, B0)             \
	ALL(FSUB, ONE(28), B0, B0)        \
	ALL(FMLSE, ONE(29), B12, B0)      \
	ALL(FMULE, ONE(30), B0, B0)

TEXT ·normalizeBackwardNEON(SB), NOSPLIT, $64-108
	MOVD  dx_base+0(FP), R0
	MOVD  dy_base+24(FP), R1
	MOVD  gain_base+48(FP), R2
	MOVD  xhat_base+72(FP), R3
	FILL(mean+96(FP), F28, 28)
	FMOVS dot+100(FP), F29
	FMOVS rstd+104(FP), F30
	EACH(dx_len+8(FP), ABC, NORMALIZEBACKWARD, Y)
	RET

// func dropoutNEON(y, x []float32, first, key, threshold uint32, scale float32)
//	for i { y[i] = hash((first + i) ^ key)>>1 < threshold ? 0 : x[i]·scale }
// y: R0, B0, and before it the hash; x: R1, B4; the place first + i: B12; key: V24;
// threshold: V25; scale: V26; 16: V27; the factors of the hash: V28 and V29.
#define DROPOUT                       \
	ALL(EOR, ONE(24), B12, B0)        \
	XORSHIFT(16)                      \
	ALL(IMUL, ONE(28), B0, B0)        \
	XORSHIFT(13)                      \
	ALL(IMUL, ONE(29), B0, B0)        \
	XORSHIFT(16)                      \
	ALL(USHR, ONE(1), B0, B0)         \
	ALL(CMHI, B0, ONE(25), B0)        \
	ALL(FMULE, ONE(26), B4, B4)       \
	ALL(BIC, B0, B4, B0)              \
	ALL(IADD, ONE(27), B12, B12)

// XORSHIFT: hash ^= hash>>n; it uses B16.
#define XORSHIFT(n)                   \
	ALL(USHR, ONE(n), B0, B16)        \
	ALL(EOR, B16, B0, B0)

TEXT ·dropoutNEON(SB), NOSPLIT, $64-64
	MOVD  y_base+0(FP), R0
	MOVD  x_base+24(FP), R1
	MOVD  $·places(SB), R15
	VLD1  (R15), B12(LIST)
	FILL(first+48(FP), F27, 27)
	ALL(IADD, ONE(27), B12, B12)
	FILL(key+52(FP), F24, 24)
	FILL(threshold+56(FP), F25, 25)
	FMOVS scale+60(FP), F26
	FILL(64(R15), F27, 27)
	FILL(68(R15), F28, 28)
	FILL(72(R15), F29, 29)
	EACH(y_len+8(FP), A, DROPOUT, Y)
	RET

// func adamwNEON(p, g, m, v []float32, c *adamwConstants)
//	for i {
//		g' = clip·g[i]
//		m[i] = fma(β₁, m[i], g'·(1−β₁))
//		v[i] = fma(β₂, v[i], g'²·(1−β₂))
//		p[i] = fma(−rate, m[i]/fma(√v[i], root, ε), p[i]·shrink)
//	}
// p: R0, B0; m: R1, B4, then B16; v: R2, B8, then B20; g: R3, B12; c: R4. √v: B4; the
// divisor and the quotient: B8.
#define ADAMW                         \
	WITH(FMULE, adamwConstants_clip(R4), B12, B12) \
	WITH(FMULE, adamwConstants_rest1(R4), B12, B16) \
	WITH(FMLAE, adamwConstants_beta1(R4), B4, B16) \
	ALL(FMUL, B12, B12, B12)          \
	WITH(FMULE, adamwConstants_rest2(R4), B12, B20) \
	WITH(FMLAE, adamwConstants_beta2(R4), B8, B20) \
	ALL2(FSQRT, B20, B4)              \
	SET(adamwConstants_epsilon(R4), B8) \
	WITH(FMLAE, adamwConstants_root(R4), B4, B8) \
	ALL(FDIV, B8, B16, B8)            \
	WITH(FMULE, adamwConstants_shrink(R4), B0, B0) \
	WITH(FMLSE, adamwConstants_rate(R4), B8, B0)

#define ADAMW_STORES(move)            \
	move(R0, B0)                      \
	move(R1, B16)                     \
	move(R2, B20)

TEXT ·adamwNEON(SB), NOSPLIT, $64-104
	MOVD p_base+0(FP), R0
	MOVD g_base+24(FP), R3
	MOVD m_base+48(FP), R1
	MOVD v_base+72(FP), R2
	MOVD c+96(FP), R4
	EACH(p_len+8(FP), YABC, ADAMW, ADAMW_STORES)
	RET

// func packNEON(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
//	for r, c { dst[c/width·panel + r·width + c%width] = src[r·srcRow + c] }
// Requires at least one row and one column.
// dst: R0, its step along r R1, from panel to panel R2; src: R3, its step R4; rows left:
// R5; columns left in the row: R6, in the panel: R7. R8 walks along a row of src, R9
// along that of a panel, which begins at R10.
TEXT ·packNEON(SB), NOSPLIT, $0-88
	MOVD dst_base+0(FP), R0
	MOVD width+24(FP), R1
	MOVD panel+32(FP), R2
	MOVD src_base+40(FP), R3
	MOVD srcRow+64(FP), R4
	MOVD rows+72(FP), R5
	LSL  $2, R2
	LSL  $2, R4

row:
	MOVD cols+80(FP), R6
	MOVD R3, R8
	MOVD R0, R10

panel:
	MOVD R10, R9
	CMP  R1, R6
	CSEL LT, R6, R1, R7
	SUB  R7, R6
	SUBS $16, R7
	BLT  four

sixteen:
	VLD1.P 64(R8), B0(LIST)
	VST1.P B0(LIST), 64(R9)
	SUBS   $16, R7
	BGE    sixteen

four:
	ADDS $12, R7
	BLT  single

another:
	FMOVQ.P 16(R8), F0
	FMOVQ.P F0, 16(R9)
	SUBS    $4, R7
	BGE     another

single:
	ADDS $4, R7
	BEQ  next

one:
	MOVWU.P 4(R8), R11
	MOVW.P  R11, 4(R9)
	SUBS    $1, R7
	BNE     one

next:
	ADD  R2, R10
	CBNZ R6, panel

	ADD  R4, R3
	ADD  R1<<2, R0
	SUBS $1, R5
	BNE  row
	RET

// func transposeBlocksNEON(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
//	for r := 0; r < rows; r += 4 {
//		for c := 0; c < cols; c += 4 {
//			dst[c·dstRow + r:] = the 4×4 block at src[r·srcRow + c:], transposed
//		}
//	}
// Requires that rows and cols are multiples of 4, and not 0.
// dst: R0, its step R1; src: R2, its step R3; rows left: R4; cols: R5, left: R8. R6 walks
// down dst, R7 along src, R9 down the rows of a block.
TEXT ·transposeBlocksNEON(SB), NOSPLIT, $0-80
	MOVD dst_base+0(FP), R0
	MOVD dstRow+24(FP), R1
	MOVD src_base+32(FP), R2
	MOVD srcRow+56(FP), R3
	MOVD rows+64(FP), R4
	MOVD cols+72(FP), R5
	LSL  $2, R1
	LSL  $2, R3

rows:
	MOVD R0, R6
	MOVD R2, R7
	MOVD R5, R8

cols:
	MOVD   R7, R9
	VLD1.P (R9)(R3), [V0.S4]
	VLD1.P (R9)(R3), [V1.S4]
	VLD1.P (R9)(R3), [V2.S4]
	VLD1   (R9), [V3.S4]

	// Rows 0 and 2 interleaved, and 1 and 3; these again are the columns.
	VZIP1  V2.S4, V0.S4, V4.S4
	VZIP2  V2.S4, V0.S4, V5.S4
	VZIP1  V3.S4, V1.S4, V6.S4
	VZIP2  V3.S4, V1.S4, V7.S4
	VZIP1  V6.S4, V4.S4, V0.S4
	VZIP2  V6.S4, V4.S4, V1.S4
	VZIP1  V7.S4, V5.S4, V2.S4
	VZIP2  V7.S4, V5.S4, V3.S4
	VST1.P [V0.S4], (R6)(R1)
	VST1.P [V1.S4], (R6)(R1)
	VST1.P [V2.S4], (R6)(R1)
	VST1.P [V3.S4], (R6)(R1)
	ADD    $16, R7
	SUBS   $4, R8
	BNE    cols

	ADD  $16, R0
	ADD  R3<<2, R2
	SUBS $4, R4
	BNE  rows
	RET
