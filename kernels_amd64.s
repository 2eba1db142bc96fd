//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The inner loops with AVX2 and FMA, and the matrix tile with AVX-512 too. What
// each computes, and in which order, stands in kernels_generic.go; here it is
// done 8 or 16 floats at a time, to the same bits.
//
// Go's assembler names operands from source to destination:
//
//	VSUBPS b, a, c          c = a − b
//	VDIVPS b, a, c          c = a/b
//	VMAXPS b, a, c          c = a > b ? a : b
//	VFMADD231PS a, b, c     c = a·b + c
//	VFMADD213PS c, b, a     a = a·b + c
//	VFMADD132PS b, c, a     a = a·b + c
//	VFNMADD231PS a, b, c    c = −a·b + c
//	VCMPPS $1, b, a, c      c = a < b, all ones or all zeros ($5: not a < b)
//	VANDNPS b, a, c         c = b and not a
//	VBLENDVPS m, b, a, c    c = m ? b : a

// With AVX2 a block of 16 floats is in two registers: B0 in Y0 and Y1, B2 in Y2 and
// Y3, and so on. BOTH does an instruction for both halves of blocks; ONE(r) is for an
// operand that is the same for both: a register, a number or a place in memory.
#define BOTH(op, x, y, z)             \
	op x(LOW), y(LOW), z(LOW)         \
	op x(HIGH), y(HIGH), z(HIGH)

// BOTH2 and BOTH4 are for instructions of two and of four operands.
#define BOTH2(op, x, y)               \
	op x(LOW), y(LOW)                 \
	op x(HIGH), y(HIGH)
#define BOTH4(op, w, x, y, z)         \
	op w(LOW), x(LOW), y(LOW), z(LOW) \
	op w(HIGH), x(HIGH), y(HIGH), z(HIGH)

// So B0(LOW) is LOW(Y0, Y1), which is Y0, and ONE(Y9)(LOW) is Y9: DROP takes the (LOW).
#define LOW(low, high) low
#define HIGH(low, high) high
#define B0(half) half(Y0, Y1)
#define B2(half) half(Y2, Y3)
#define B4(half) half(Y4, Y5)
#define B6(half) half(Y6, Y7)
#define B8(half) half(Y8, Y9)
#define B10(half) half(Y10, Y11)
#define B12(half) half(Y12, Y13)
#define B14(half) half(Y14, Y15)
#define MASK B14
#define ONE(r) r DROP
#define DROP(half)

// The moves of a block, from and to an address such as (SI)(AX*1).
#define LOAD(at, block)               \
	VMOVUPS at, block(LOW)            \
	VMOVUPS 32 at, block(HIGH)
#define STORE(at, block)              \
	VMOVUPS block(LOW), at            \
	VMOVUPS block(HIGH), 32 at

// The same for the floats where MASK is ones; others are not touched, and read as 0.
#define LOADMASKED(at, block)         \
	VMASKMOVPS at, MASK(LOW), block(LOW) \
	VMASKMOVPS 32 at, MASK(HIGH), block(HIGH)
#define STOREMASKED(at, block)        \
	VMASKMOVPS block(LOW), MASK(LOW), at \
	VMASKMOVPS block(HIGH), MASK(HIGH), 32 at

// ALLBUT sets MASK for all but the last n floats of a block; it uses R10.
#define ALLBUT(n)                     \
	LEAQ ·tailMask(SB), R10          \
	LOAD((R10)(n*4), MASK)

// The tile of the matrix product, tileAVX2 and tileAVX512 (t *tile):
//
//	for i, j { c[i·cRow + j] = start[i·startRow + j] }
//	for k := 0; k < depth; k++ {
//		for i, j { c[i·cRow + j] = fma(a[i·aRow + k·aStep], b[k·bRow + j], c[i·cRow + j]) }
//	}
//
// Registers hold the whole tile, two to a row, while k runs. Each step loads two
// registers of b and, for each row, one element of a that is multiplied with both.
//
// Rows come in groups of three, whose first rows are t.group; with fewer rows than
// a whole tile the groups overlap, and some rows are computed more than once. Columns
// that are not there are masked when start is loaded and c is stored.
//
// Memory is idle meanwhile, so the tile fetches what later ones will need: rows of the
// c after this one, and of t.next, one each every few steps of k. b comes from the
// second-level cache and is fetched eight steps ahead: the hardware's own prefetching
// stops at each page.
//
// t: DI. depth: CX. b: DX, its step BX. a: SI, R8, R9 and R10 are its groups (with
// AVX2 there are two, SI and R8), R11 the step to the next row, R12 that along k. AX
// and R13: start or c, and its step; while k runs, the c to fetch. R14 and R15: t.next
// and its step.

// GROUP makes r point to the first row of group g of a matrix.
#define GROUP(g, matrix, step, r)     \
	MOVQ  tile_group+8*g(DI), r       \
	IMULQ step, r                     \
	ADDQ  matrix, r

// OPERANDS loads what t says of a and b.
#define OPERANDS                      \
	MOVQ tile_depth(DI), CX           \
	MOVQ tile_b(DI), DX               \
	MOVQ tile_bRow(DI), BX            \
	MOVQ tile_a(DI), SI               \
	MOVQ tile_aRow(DI), R11           \
	MOVQ tile_aStep(DI), R12          \
	SHLQ $2, BX                       \
	SHLQ $2, R11                      \
	SHLQ $2, R12                      \
	GROUP(1, SI, R11, R8)

// AHEAD loads what t says of the rows to fetch.
#define AHEAD                         \
	MOVQ tile_c(DI), AX               \
	MOVQ tile_nextC(DI), R13          \
	LEAQ (AX)(R13*4), AX              \
	MOVQ tile_cRow(DI), R13           \
	MOVQ tile_next(DI), R14           \
	MOVQ tile_nextRow(DI), R15        \
	SHLQ $2, R13                      \
	SHLQ $2, R15                      \
	MOVQ CX, left-8(SP)

// FETCH fetches a row of each (of t.next, fetchCols floats), and makes CX the steps until
// the next one: depth/fetchRows + 1, or what is left.
#define FETCH                         \
	PREFETCHT0 (AX)                   \
	PREFETCHT0 64(AX)                 \
	PREFETCHT0 (R14)                  \
	PREFETCHT0 64(R14)                \
	PREFETCHT0 128(R14)               \
	PREFETCHT0 192(R14)               \
	ADDQ       R13, AX                \
	ADDQ       R15, R14               \
	MOVQ       tile_depth(DI), CX     \
	SHRQ       $4, CX                 \
	INCQ       CX                     \
	CMPQ       left-8(SP), CX         \
	CMOVQLT    left-8(SP), CX         \
	SUBQ       CX, left-8(SP)

// ROWS256 moves the six rows of a tile, from start or to c.
#define ROWS256(move, base, step)     \
	MOVQ base(DI), AX                 \
	MOVQ step(DI), R13                \
	SHLQ $2, R13                      \
	move((AX), B0)                    \
	move((AX)(R13*1), B2)             \
	move((AX)(R13*2), B4)             \
	GROUP(1, base(DI), R13, AX)       \
	move((AX), B6)                    \
	move((AX)(R13*1), B8)             \
	move((AX)(R13*2), B10)

// ROW256 adds element·b to a row of the tile; t is for the element.
#define ROW256(element, t, row)       \
	VBROADCASTSS element, t           \
	BOTH(VFMADD231PS, B12, ONE(t), row)

// func tileAVX2(t *tile)
//
// 6 rows of 16: the tile is B0 to B10, b B12, elements of a Y14 and Y15, where the
// mask is before and after; R9 columns are not there.
TEXT ·tileAVX2(SB), NOSPLIT, $8-8
	MOVQ  t+0(FP), DI
	MOVQ  $16, R9
	SUBQ  tile_cols(DI), R9
	ALLBUT(R9)
	ROWS256(LOADMASKED, tile_start, tile_startRow)
	OPERANDS
	AHEAD

fetch:
	FETCH

loop:
	LOAD((DX), B12)
	PREFETCHT0 (DX)(BX*8)
	ROW256((SI), Y14, B0)
	ROW256((SI)(R11*1), Y15, B2)
	ROW256((SI)(R11*2), Y14, B4)
	ROW256((R8), Y15, B6)
	ROW256((R8)(R11*1), Y14, B8)
	ROW256((R8)(R11*2), Y15, B10)
	ADDQ R12, SI
	ADDQ R12, R8
	ADDQ BX, DX
	DECQ CX
	JNZ  loop
	CMPQ left-8(SP), $0
	JNE  fetch

	TESTQ R9, R9
	JNZ   masked
	ROWS256(STORE, tile_c, tile_cRow)
	VZEROUPPER
	RET

masked:
	ALLBUT(R9)
	ROWS256(STOREMASKED, tile_c, tile_cRow)
	VZEROUPPER
	RET

// ROWS512 moves the twelve rows of a tile, from start or to c.
#define ROWS512(move, base, step)     \
	MOVQ base(DI), AX                 \
	MOVQ step(DI), R13                \
	SHLQ $2, R13                      \
	move(Z0, Z1)                      \
	move(Z2, Z3)                      \
	move(Z4, Z5)                      \
	GROUP(1, base(DI), R13, AX)       \
	move(Z6, Z7)                      \
	move(Z8, Z9)                      \
	move(Z10, Z11)                    \
	GROUP(2, base(DI), R13, AX)       \
	move(Z12, Z13)                    \
	move(Z14, Z15)                    \
	move(Z16, Z17)                    \
	GROUP(3, base(DI), R13, AX)       \
	move(Z18, Z19)                    \
	move(Z20, Z21)                    \
	move(Z22, Z23)

// FROM512 and TO512 load and store a row. K1 and K2 are its masks.
#define FROM512(a, b)                 \
	VMOVUPS.Z (AX), K1, a             \
	VMOVUPS.Z 64(AX), K2, b           \
	ADDQ      R13, AX
#define TO512(a, b)                   \
	VMOVUPS a, K1, (AX)               \
	VMOVUPS b, K2, 64(AX)             \
	ADDQ    R13, AX

// STEP512 does one step of k, by row(element, register for it, row of the tile, its number).
#define STEP512(row)                  \
	row((SI), Z26, Z0, Z1, 0)           \
	row((SI)(R11*1), Z27, Z2, Z3, 1)    \
	row((SI)(R11*2), Z28, Z4, Z5, 2)    \
	row((R8), Z29, Z6, Z7, 3)           \
	row((R8)(R11*1), Z26, Z8, Z9, 4)    \
	row((R8)(R11*2), Z27, Z10, Z11, 5)  \
	row((R9), Z28, Z12, Z13, 6)         \
	row((R9)(R11*1), Z29, Z14, Z15, 7)  \
	row((R9)(R11*2), Z26, Z16, Z17, 8)  \
	row((R10), Z27, Z18, Z19, 9)        \
	row((R10)(R11*1), Z28, Z20, Z21, 10)\
	row((R10)(R11*2), Z29, Z22, Z23, 11)\
	ADDQ R12, SI                      \
	ADDQ R12, R8                      \
	ADDQ R12, R9                      \
	ADDQ R12, R10                     \
	ADDQ BX, DX

// LEFT512 adds element·b to the left half of a row of the tile, BOTH512 to both halves.
#define LEFT512(element, t, a, b, n)  \
	VBROADCASTSS element, t           \
	VFMADD231PS  Z24, t, a
#define BOTH512(element, t, a, b, n)  \
	LEFT512(element, t, a, b, n)      \
	VFMADD231PS  Z25, t, b

// TILE512 is a tile of 12 rows of 32: Z0 to Z23, b Z24 and Z25, elements of a Z26 to Z29.
// If there are no more than 16 columns, only the left half is computed, and nothing
// fetched.
#define TILE512(narrow, wide)          \
	MOVQ  t+0(FP), DI                 \
	MOVQ  $32, CX                     \
	SUBQ  tile_cols(DI), CX           \
	MOVL  $-1, AX                     \
	SHRL  CX, AX                      \
	KMOVW AX, K1                      \
	SHRL  $16, AX                     \
	KMOVW AX, K2                      \
	ROWS512(FROM512, tile_start, tile_startRow) \
	OPERANDS                          \
	GROUP(2, SI, R11, R9)             \
	GROUP(3, SI, R11, R10)            \
	CMPQ  tile_cols(DI), $16          \
	JLE   half                        \
	AHEAD                             \
fetch:                                \
	FETCH                             \
loop:                                 \
	VMOVUPS    (DX), Z24              \
	VMOVUPS    64(DX), Z25            \
	PREFETCHT0 (DX)(BX*8)             \
	PREFETCHT0 64(DX)(BX*8)           \
	STEP512(wide)                     \
	DECQ       CX                     \
	JNZ        loop                   \
	CMPQ       left-8(SP), $0         \
	JNE        fetch                  \
	JMP        done                   \
half:                                 \
	VMOVUPS (DX), Z24                 \
	STEP512(narrow)                   \
	DECQ    CX                        \
	JNZ     half                      \
done:                                 \
	ROWS512(TO512, tile_c, tile_cRow) \
	VZEROUPPER                        \
	RET

// func tileAVX512(t *tile)
TEXT ·tileAVX512(SB), NOSPLIT, $8-8
	TILE512(LEFT512, BOTH512)

// Go's assembler does not know VDPBF16PS. DOT(h, n) adds to half h of row n of the tile the
// products of its element and of half h of b, which are pairs: DOT(1, 11) is the code of
//
//	VDPBF16PS Z25, Z29, Z23           62 82 16 40 52 f9
//
// or of three registers c = Z(2n + h), t = Z(26 + n%4) and b = Z(24 + h): not bits 3 and 4 of
// c, not the lower four of t, the lower three of c and of b. (The fifths of t and b are ones.)
#define DOT(h, n)                     \
	BYTE $0x62                        \
	BYTE $((((2*n+h)&8)^8)<<4 | ((2*n+h)&16)^16 | 2) \
	BYTE $((15^(10+n%4))<<3 | 6)      \
	BYTE $0x40                        \
	BYTE $0x52                        \
	BYTE $(0xC0 | ((2*n+h)&7)<<3 | h)

#define LEFTBF16(element, t, a, b, n) \
	VBROADCASTSS element, t           \
	DOT(0, n)
#define BOTHBF16(element, t, a, b, n) \
	LEFTBF16(element, t, a, b, n)     \
	DOT(1, n)

// func tileBF16AVX512(t *tile)
TEXT ·tileBF16AVX512(SB), NOSPLIT, $8-8
	TILE512(LEFTBF16, BOTHBF16)

// The vector kernels: slices of one length, 16 floats at a time.

// EACH runs body over all blocks of slices of length n. loads and stores are lists of
// the blocks to move; they get the name of the move. AX is the place of the block, in
// bytes; CX counts what is left. The 0 to 15 floats that are left at the end go
// through the same body, but are moved under MASK, which is all ones until then:
// memory outside the slices is not touched, and what is not there reads as 0.
#define EACH(n, loads, body, stores)  \
	MOVQ n, CX                        \
	XORQ AX, AX                       \
	BOTH(VPCMPEQD, MASK, MASK, MASK)  \
	SUBQ $16, CX                      \
	JLT  tail                         \
loop:                                 \
	loads(LOAD)                       \
	body                              \
	stores(STORE)                     \
	ADDQ $64, AX                      \
	SUBQ $16, CX                      \
	JGE  loop                         \
tail:                                 \
	NEGQ CX                           \
	CMPQ CX, $16                      \
	JEQ  done                         \
	ALLBUT(CX)                        \
	loads(LOADMASKED)                 \
	body                              \
	stores(STOREMASKED)               \
done:

// The lists for EACH: Y is a slice at DI, its block in B0; A, B and C are slices at SI,
// DX and R8, their blocks in B2, B4 and B6; YA is Y and A, and so on.
#define NONE(move)
#define Y(move) move((DI)(AX*1), B0)
#define A(move) move((SI)(AX*1), B2)
#define AB(move) A(move)              \
	move((DX)(AX*1), B4)
#define ABC(move) AB(move)            \
	move((R8)(AX*1), B6)
#define YA(move) Y(move)              \
	A(move)
#define YAB(move) Y(move)             \
	AB(move)
#define YABC(move) Y(move)            \
	ABC(move)

// TOTAL folds the 16 lanes of a block by halves, 8, 4, 2, 1, to X0. It uses X1.
#define TOTAL(op, block)              \
	op           block(LOW), block(HIGH), Y0 \
	VEXTRACTF128 $1, Y0, X1           \
	op           X0, X1, X0           \
	VPERMILPS    $14, X0, X1          \
	op           X0, X1, X0           \
	VPERMILPS    $1, X0, X1           \
	op           X0, X1, X0

// SUM is the total of sums. Adding 0 makes it 0 where it would be −0.
#define SUM(block)                    \
	TOTAL(VADDPS, block)              \
	VXORPS X1, X1, X1                 \
	VADDSS X1, X0, X0

// ZERO sets a block to zero.
#define ZERO(block) BOTH(VXORPS, block, block, block)

// WITH is BOTH with a constant from memory, which is then in Y13.
#define WITH(op, constant, y, z)        \
	VBROADCASTSS constant, Y13        \
	BOTH(op, ONE(Y13), y, z)

// CONSTANT(i) is constants[i].
#define CONSTANT(i) ·constants+(4*i)(SB)

// HORNER: p = p·x + constant i.
#define HORNER(i, x, p) WITH(VFMADD213PS, CONSTANT(i), x, p)

// func addAVX2(y, x []float32)
//	for i { y[i] += x[i] }
// y: DI, B0; x: SI, B2.
TEXT ·addAVX2(SB), NOSPLIT, $0-48
	MOVQ y_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	EACH(y_len+8(FP), YA, BOTH(VADDPS, B2, B0, B0), Y)
	VZEROUPPER
	RET

// func mulAddAVX2(y, a, b []float32)
//	for i { y[i] = fma(a[i], b[i], y[i]) }
// y: DI, B0; a: SI, B2; b: DX, B4.
TEXT ·mulAddAVX2(SB), NOSPLIT, $0-72
	MOVQ y_base+0(FP), DI
	MOVQ a_base+24(FP), SI
	MOVQ b_base+48(FP), DX
	EACH(y_len+8(FP), YAB, BOTH(VFMADD231PS, B4, B2, B0), Y)
	VZEROUPPER
	RET

// func scaleAVX2(y []float32, s float32)
//	for i { y[i] *= s }
// y: DI, B0; s: Y2.
TEXT ·scaleAVX2(SB), NOSPLIT, $0-28
	MOVQ         y_base+0(FP), DI
	VBROADCASTSS s+24(FP), Y2
	EACH(y_len+8(FP), Y, BOTH(VMULPS, ONE(Y2), B0, B0), Y)
	VZEROUPPER
	RET

// func sumAVX2(x []float32) float32
//	for i { lane[i%16] += x[i] }; return total(lane)
// x: SI, B2; lanes: B0.
TEXT ·sumAVX2(SB), NOSPLIT, $0-28
	MOVQ x_base+0(FP), SI
	ZERO(B0)
	EACH(x_len+8(FP), A, BOTH(VADDPS, B2, B0, B0), NONE)
	SUM(B0)
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dotAVX2(a, b []float32) float32
//	for i { lane[i%16] = fma(a[i], b[i], lane[i%16]) }; return total(lane)
// a: SI, B2; b: DX, B4; lanes: B0.
TEXT ·dotAVX2(SB), NOSPLIT, $0-52
	MOVQ a_base+0(FP), SI
	MOVQ b_base+24(FP), DX
	ZERO(B0)
	EACH(a_len+8(FP), AB, BOTH(VFMADD231PS, B4, B2, B0), NONE)
	SUM(B0)
	VMOVSS X0, ret+48(FP)
	VZEROUPPER
	RET

// func squaresAVX2(x []float32, center float32) float32
//	for i { d = x[i] − center; lane[i%16] = fma(d, d, lane[i%16]) }; return total(lane)
// x: SI, B2, and d, 0 where no x is; lanes: B0; center: Y4.
#define SQUARES                       \
	BOTH(VSUBPS, ONE(Y4), B2, B2)     \
	BOTH(VANDPS, MASK, B2, B2)        \
	BOTH(VFMADD231PS, B2, B2, B0)

TEXT ·squaresAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	VBROADCASTSS center+24(FP), Y4
	ZERO(B0)
	EACH(x_len+8(FP), A, SQUARES, NONE)
	SUM(B0)
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func maximumAVX2(x []float32) float32
//	for i { if x[i] > lane[i%16] { lane[i%16] = x[i] } }; return the greatest lane
// x: SI, B2, −∞ where no x is; lanes: B0; −∞: Y4.
#define MAXIMUM                       \
	BOTH4(VBLENDVPS, MASK, B2, ONE(Y4), B2) \
	BOTH(VMAXPS, B0, B2, B0)

TEXT ·maximumAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	VBROADCASTSS CONSTANT(19), Y4
	BOTH2(VMOVAPS, ONE(Y4), B0)
	EACH(x_len+8(FP), A, MAXIMUM, NONE)
	TOTAL(VMAXPS, B0)
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// EXP is exp of B0, in place; it uses B6, B8, B10 and Y13.
//
//	n = round(x·log₂e)             B6
//	r = x − n·ln 2                 B8
//	p = e^r, by Horner's rule      B10
//	x = x < expLowest ? 0 : p·2ⁿ   (n·2²³ plus the bits of 1, in Y13, are the bits of 2ⁿ)
#define EXP                           \
	WITH(VMULPS, CONSTANT(0), B0, B6)   \
	BOTH(VROUNDPS, ONE($8), B6, B6)   \
	BOTH2(VMOVAPS, B0, B8)            \
	WITH(VFMADD231PS, CONSTANT(1), B6, B8) \
	WITH(VFMADD231PS, CONSTANT(2), B6, B8) \
	BOTH2(VBROADCASTSS, ONE(CONSTANT(3)), B10) \
	HORNER(4, B8, B10)                \
	HORNER(5, B8, B10)                \
	HORNER(6, B8, B10)                \
	HORNER(7, B8, B10)                \
	HORNER(8, B8, B10)                \
	HORNER(8, B8, B10)                \
	BOTH2(VCVTPS2DQ, B6, B6)          \
	BOTH(VPSLLD, ONE($23), B6, B6)    \
	BOTH(VPADDD, ONE(Y13), B6, B6)    \
	BOTH(VMULPS, B6, B10, B10)        \
	VBROADCASTSS CONSTANT(9), Y13     \
	BOTH4(VCMPPS, ONE($5), ONE(Y13), B0, B0) \
	BOTH(VANDPS, B10, B0, B0)

// func expSumAVX2(x []float32, max, scale float32) float32
//	for i { x[i] = exp((x[i] − max)·scale); lane[i%16] += x[i] }; return total(lane)
// x: DI, B0; lanes: B4; max: Y2; scale: Y3.
#define EXPSUM                        \
	BOTH(VSUBPS, ONE(Y2), B0, B0)     \
	BOTH(VMULPS, ONE(Y3), B0, B0)     \
	EXP                               \
	BOTH(VANDPS, MASK, B0, B6)        \
	BOTH(VADDPS, B6, B4, B4)

TEXT ·expSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), DI
	VBROADCASTSS max+24(FP), Y2
	VBROADCASTSS scale+28(FP), Y3
	ZERO(B4)
	EACH(x_len+8(FP), Y, EXPSUM, Y)
	SUM(B4)
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func softmaxBackwardAVX2(dp, p []float32, dot, scale float32)
//	for i { dp[i] = ((dp[i] − dot)·p[i])·scale }
// dp: DI, B0; p: SI, B2; dot: Y4; scale: Y6.
#define SOFTMAXBACKWARD               \
	BOTH(VSUBPS, ONE(Y4), B0, B0)     \
	BOTH(VMULPS, B2, B0, B0)          \
	BOTH(VMULPS, ONE(Y6), B0, B0)

TEXT ·softmaxBackwardAVX2(SB), NOSPLIT, $0-56
	MOVQ         dp_base+0(FP), DI
	MOVQ         p_base+24(FP), SI
	VBROADCASTSS dot+48(FP), Y4
	VBROADCASTSS scale+52(FP), Y6
	EACH(dp_len+8(FP), YA, SOFTMAXBACKWARD, Y)
	VZEROUPPER
	RET

// SIDE is B8 = x < 0 ? B8 : B6, where x is B2; it uses B10 and Y13.
#define SIDE                          \
	VXORPS       Y13, Y13, Y13        \
	BOTH4(VCMPPS, ONE($1), ONE(Y13), B2, B10) \
	BOTH4(VBLENDVPS, B10, B8, B6, B8)

// NORMAL makes of x in B2 the normal distribution at x in B8 and e = e^(−x²/2) in
// B0; it uses B6, B10, Y12 and Y13.
//
//	t = 1/(tailScale·|x| + 1)      B6
//	tail = t·p(t)·e                B8
//	x < 0 ? tail : 1 − tail        B8
#define NORMAL                        \
	WITH(VMULPS, CONSTANT(10), B2, B0)  \
	BOTH(VMULPS, B2, B0, B0)          \
	EXP                               \
	VBROADCASTSS CONSTANT(20), Y12    \
	BOTH(VANDPS, B2, ONE(Y12), B6)    \
	VBROADCASTSS CONSTANT(11), Y13    \
	VBROADCASTSS CONSTANT(8), Y12     \
	BOTH(VFMADD213PS, ONE(Y12), ONE(Y13), B6) \
	BOTH(VDIVPS, B6, ONE(Y12), B6)    \
	BOTH2(VBROADCASTSS, ONE(CONSTANT(12)), B8) \
	HORNER(13, B6, B8)                \
	HORNER(14, B6, B8)                \
	HORNER(15, B6, B8)                \
	HORNER(16, B6, B8)                \
	HORNER(17, B6, B8)                \
	BOTH(VMULPS, B6, B8, B8)          \
	BOTH(VMULPS, B0, B8, B8)          \
	BOTH(VSUBPS, B8, ONE(Y12), B6)    \
	SIDE

// func geluAVX2(y, x []float32)
//	for i { y[i] = x[i]·Φ(x[i]) }
// y: DI, B0; x: SI, B2.
#define GELU                          \
	NORMAL                            \
	BOTH(VMULPS, B8, B2, B0)

TEXT ·geluAVX2(SB), NOSPLIT, $0-48
	MOVQ y_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	EACH(y_len+8(FP), A, GELU, Y)
	VZEROUPPER
	RET

// func geluBackwardAVX2(dx, dy, x []float32)
//	for i { dx[i] = dy[i]·fma(x[i], φ(x[i]), Φ(x[i])) }
// dx: DI, B0; x: SI, B2; dy: DX, B4.
#define GELUBACKWARD                  \
	NORMAL                            \
	WITH(VMULPS, CONSTANT(18), B0, B0)  \
	BOTH(VFMADD231PS, B0, B2, B8)     \
	BOTH(VMULPS, B8, B4, B0)

TEXT ·geluBackwardAVX2(SB), NOSPLIT, $0-72
	MOVQ dx_base+0(FP), DI
	MOVQ dy_base+24(FP), DX
	MOVQ x_base+48(FP), SI
	EACH(dx_len+8(FP), AB, GELUBACKWARD, Y)
	VZEROUPPER
	RET

// LOGISTIC is B8 = σ(u), where u = x·(linear + cubic·x²), x is B2, and R11 points to linear and
// cubic; it uses all from B0 on but B2 and B4.
//
//	e = exp(−|u|)                B0
//	t = 1/(1 + e)                B6
//	σ = x < 0 ? e·t : t          B8 (u has the sign of x)
#define LOGISTIC                      \
	BOTH(VMULPS, B2, B2, B0)          \
	VBROADCASTSS 4(R11), Y12          \
	VBROADCASTSS 0(R11), Y13          \
	BOTH(VFMADD213PS, ONE(Y13), ONE(Y12), B0) \
	BOTH(VMULPS, B2, B0, B0)          \
	VBROADCASTSS CONSTANT(20), Y12    \
	VXORPS       Y13, Y13, Y13        \
	BOTH(VANDPS, B0, ONE(Y12), B0)    \
	BOTH(VSUBPS, B0, ONE(Y13), B0)    \
	EXP                               \
	VBROADCASTSS CONSTANT(8), Y12     \
	BOTH(VADDPS, B0, ONE(Y12), B6)    \
	BOTH(VDIVPS, B6, ONE(Y12), B6)    \
	BOTH(VMULPS, B0, B6, B8)          \
	SIDE

// func gatedAVX2(y, x []float32, linear, cubic float32)
//	for i { y[i] = x[i]·σ(u[i]) }
// y: DI, B0; x: SI, B2.
#define GATED                         \
	LOGISTIC                          \
	BOTH(VMULPS, B8, B2, B0)

TEXT ·gatedAVX2(SB), NOSPLIT, $0-56
	MOVQ y_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	LEAQ linear+48(FP), R11
	EACH(y_len+8(FP), A, GATED, Y)
	VZEROUPPER
	RET

// func gatedBackwardAVX2(dx, dy, x []float32, linear, cubic, cubic3 float32)
//	for i { dx[i] = dy[i]·fma((1 − σ)·σ·x[i], linear + cubic3·x[i]², σ) }
// dx: DI, B0; x: SI, B2; dy: DX, B4.
#define GATEDBACKWARD                 \
	LOGISTIC                          \
	BOTH(VSUBPS, B8, ONE(Y12), B0)    \
	BOTH(VMULPS, B8, B0, B0)          \
	BOTH(VMULPS, B2, B0, B0)          \
	BOTH(VMULPS, B2, B2, B6)          \
	VBROADCASTSS 8(R11), Y12          \
	VBROADCASTSS 0(R11), Y13          \
	BOTH(VFMADD213PS, ONE(Y13), ONE(Y12), B6) \
	BOTH(VFMADD231PS, B0, B6, B8)     \
	BOTH(VMULPS, B8, B4, B0)

TEXT ·gatedBackwardAVX2(SB), NOSPLIT, $0-84
	MOVQ dx_base+0(FP), DI
	MOVQ dy_base+24(FP), DX
	MOVQ x_base+48(FP), SI
	LEAQ linear+72(FP), R11
	EACH(dx_len+8(FP), AB, GATEDBACKWARD, Y)
	VZEROUPPER
	RET

// func normalizeAVX2(y, xhat, x, gain, bias []float32, mean, rstd float32)
//	for i { xhat[i] = (x[i] − mean)·rstd; y[i] = fma(xhat[i], gain[i], bias[i]) }
// x: SI, B2; gain: DX, B4; bias: R8, B6; mean: Y8; rstd: Y9; xhat: R9, B2; y: DI, B6.
#define NORMALIZE                     \
	BOTH(VSUBPS, ONE(Y8), B2, B2)     \
	BOTH(VMULPS, ONE(Y9), B2, B2)     \
	BOTH(VFMADD231PS, B4, B2, B6)

#define NORMALIZE_STORES(move)        \
	move((R9)(AX*1), B2)              \
	move((DI)(AX*1), B6)

TEXT ·normalizeAVX2(SB), NOSPLIT, $0-128
	MOVQ         y_base+0(FP), DI
	MOVQ         xhat_base+24(FP), R9
	MOVQ         x_base+48(FP), SI
	MOVQ         gain_base+72(FP), DX
	MOVQ         bias_base+96(FP), R8
	VBROADCASTSS mean+120(FP), Y8
	VBROADCASTSS rstd+124(FP), Y9
	EACH(x_len+56(FP), ABC, NORMALIZE, NORMALIZE_STORES)
	VZEROUPPER
	RET

// func normalizeSumsAVX2(dy, gain, xhat []float32) (sum, dot float32)
//	for i { g = dy[i]·gain[i]; s[i%16] += g; d[i%16] = fma(g, xhat[i], d[i%16]) }
//	return total(s), total(d)
// dy: SI, B2, and g; gain: DX, B4; xhat: R8, B6; s: B0; d: B8.
#define NORMALIZESUMS                 \
	BOTH(VMULPS, B4, B2, B2)          \
	BOTH(VADDPS, B2, B0, B0)          \
	BOTH(VFMADD231PS, B6, B2, B8)

TEXT ·normalizeSumsAVX2(SB), NOSPLIT, $0-80
	MOVQ dy_base+0(FP), SI
	MOVQ gain_base+24(FP), DX
	MOVQ xhat_base+48(FP), R8
	ZERO(B0)
	ZERO(B8)
	EACH(dy_len+8(FP), ABC, NORMALIZESUMS, NONE)
	SUM(B0)
	VMOVSS X0, sum+72(FP)
	SUM(B8)
	VMOVSS X0, dot+76(FP)
	VZEROUPPER
	RET

// func normalizeBackwardAVX2(dx, dy, gain, xhat []float32, mean, dot, rstd float32)
//	for i { dx[i] = fma(−dot, xhat[i], dy[i]·gain[i] − mean)·rstd }
// dx: DI, B0; dy: SI, B2; gain: DX, B4; xhat: R8, B6; mean: Y8; dot: Y9; rstd: Y10.
#define NORMALIZEBACKWARD             \
	BOTH(VMULPS, B4, B2, B0)          \
	BOTH(VSUBPS, ONE(Y8), B0, B0)     \
	BOTH(VFNMADD231PS, B6, ONE(Y9), B0) \
	BOTH(VMULPS, ONE(Y10), B0, B0)

TEXT ·normalizeBackwardAVX2(SB), NOSPLIT, $0-108
	MOVQ         dx_base+0(FP), DI
	MOVQ         dy_base+24(FP), SI
	MOVQ         gain_base+48(FP), DX
	MOVQ         xhat_base+72(FP), R8
	VBROADCASTSS mean+96(FP), Y8
	VBROADCASTSS dot+100(FP), Y9
	VBROADCASTSS rstd+104(FP), Y10
	EACH(dx_len+8(FP), ABC, NORMALIZEBACKWARD, Y)
	VZEROUPPER
	RET

// func dropoutAVX2(y, x []float32, first, key, threshold uint32, scale float32)
//	for i { y[i] = hash((first + i) ^ key)>>1 < threshold ? 0 : x[i]·scale }
// y: DI, B0, and before it the hash; x: SI, B2; the place first + i: B4; key: Y8;
// threshold: Y9; scale: Y10; 16: Y11; the factors of the hash: Y12 and Y13.
#define DROPOUT                       \
	BOTH(VPXOR, ONE(Y8), B4, B0)      \
	XORSHIFT($16)                     \
	BOTH(VPMULLD, ONE(Y12), B0, B0)   \
	XORSHIFT($13)                     \
	BOTH(VPMULLD, ONE(Y13), B0, B0)   \
	XORSHIFT($16)                     \
	BOTH(VPSRLD, ONE($1), B0, B0)     \
	BOTH(VPCMPGTD, B0, ONE(Y9), B0)   \
	BOTH(VMULPS, ONE(Y10), B2, B2)    \
	BOTH(VANDNPS, B2, B0, B0)         \
	BOTH(VPADDD, ONE(Y11), B4, B4)

// XORSHIFT: hash ^= hash>>n; it uses B6.
#define XORSHIFT(n)                   \
	BOTH(VPSRLD, ONE(n), B0, B6)      \
	BOTH(VPXOR, B6, B0, B0)

TEXT ·dropoutAVX2(SB), NOSPLIT, $0-64
	MOVQ         y_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	VBROADCASTSS first+48(FP), Y4
	VPADDD       ·places+32(SB), Y4, Y5
	VPADDD       ·places+0(SB), Y4, Y4
	VBROADCASTSS key+52(FP), Y8
	VBROADCASTSS threshold+56(FP), Y9
	VBROADCASTSS scale+60(FP), Y10
	VBROADCASTSS ·places+64(SB), Y11
	VBROADCASTSS ·places+68(SB), Y12
	VBROADCASTSS ·places+72(SB), Y13
	EACH(y_len+8(FP), A, DROPOUT, Y)
	VZEROUPPER
	RET

// ROUND makes of x in B2 the nearest bfloat16 in B0; it uses B4, and of halves Y8 to Y12.
//
//	x with an exponent of 0 is 0, but for its sign          B2
//	x + 0x7fff + (x>>16 & 1), or a NaN                      B0
//	without its lower half                                  B0
#define ROUND                         \
	BOTH(VPAND, ONE(Y8), B2, B4)      \
	BOTH(VPCMPEQD, ONE(Y9), B4, B4)   \
	BOTH(VPSRLD, ONE($1), B4, B4)     \
	BOTH(VPANDN, B2, B4, B2)          \
	BOTH(VPSRLD, ONE($16), B2, B0)    \
	BOTH(VPAND, ONE(Y10), B0, B0)     \
	BOTH(VPADDD, ONE(Y11), B0, B0)    \
	BOTH(VPADDD, B2, B0, B0)          \
	BOTH4(VCMPPS, ONE($3), B2, B2, B4) \
	BOTH(VPOR, ONE(Y12), B2, B2)      \
	BOTH4(VBLENDVPS, B4, B2, B0, B0)  \
	BOTH(VPSRLD, ONE($16), B0, B0)    \
	BOTH(VPSLLD, ONE($16), B0, B0)

// ROUNDING is a kernel with this body. Y8 to Y12: the bits of the exponent, 0, 1, 0x7fff, and
// the bit that makes a NaN quiet.
#define ROUNDING(body)                \
	MOVQ         y_base+0(FP), DI     \
	MOVQ         x_base+24(FP), SI    \
	VBROADCASTSS ·rounding+0(SB), Y8  \
	VPXOR        Y9, Y9, Y9           \
	VBROADCASTSS ·rounding+4(SB), Y10 \
	VBROADCASTSS ·rounding+8(SB), Y11 \
	VBROADCASTSS ·rounding+12(SB), Y12 \
	EACH(y_len+8(FP), A, body, Y)     \
	VZEROUPPER                        \
	RET

// func roundAVX2(y, x []float32)
//	for i { y[i] = roundBF16(x[i]) }
TEXT ·roundAVX2(SB), NOSPLIT, $0-48
	ROUNDING(ROUND)

// func roundSwappedAVX2(y, x []float32)
//	for i { y[i^1] = roundBF16(x[i]) }
#define ROUNDSWAPPED                  \
	ROUND                             \
	BOTH(VPERMILPS, ONE($0xB1), B0, B0)

TEXT ·roundSwappedAVX2(SB), NOSPLIT, $0-48
	ROUNDING(ROUNDSWAPPED)

// func adamwAVX2(p, g, m, v []float32, c *adamwConstants)
//	for i {
//		g' = clip·g[i]
//		m[i] = fma(β₁, m[i], g'·(1−β₁))
//		v[i] = fma(β₂, v[i], g'²·(1−β₂))
//		p[i] = fma(−rate, m[i]/fma(√v[i], root, ε), p[i]·shrink)
//	}
// p: DI, B0; m: SI, B2; v: DX, B4; g: R8, B6; c: R9; what is added to m, then the
// divisor and the quotient: B8.
#define ADAMW                         \
	WITH(VMULPS, adamwConstants_clip(R9), B6, B6) \
	WITH(VMULPS, adamwConstants_rest1(R9), B6, B8) \
	WITH(VFMADD132PS, adamwConstants_beta1(R9), B8, B2) \
	BOTH(VMULPS, B6, B6, B6)          \
	WITH(VMULPS, adamwConstants_rest2(R9), B6, B6) \
	WITH(VFMADD132PS, adamwConstants_beta2(R9), B6, B4) \
	BOTH2(VSQRTPS, B4, B8)            \
	VBROADCASTSS adamwConstants_root(R9), Y12 \
	WITH(VFMADD213PS, adamwConstants_epsilon(R9), ONE(Y12), B8) \
	BOTH(VDIVPS, B8, B2, B8)          \
	WITH(VMULPS, adamwConstants_shrink(R9), B0, B0) \
	WITH(VFNMADD231PS, adamwConstants_rate(R9), B8, B0)

TEXT ·adamwAVX2(SB), NOSPLIT, $0-104
	MOVQ p_base+0(FP), DI
	MOVQ g_base+24(FP), R8
	MOVQ m_base+48(FP), SI
	MOVQ v_base+72(FP), DX
	MOVQ c+96(FP), R9
	EACH(p_len+8(FP), YABC, ADAMW, YAB)
	VZEROUPPER
	RET

// func packAVX2(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
//	for r, c { dst[c/width·panel + r·width + c%width] = src[r·srcRow + c] }
// Requires at least one row and one column.
// dst: DI, its step along r R11, from panel to panel R12; src: SI, its step R8; rows
// left: BX; columns left in the row: DX, in the panel: CX. A row of a panel begins at
// R9 in src and at R10 in dst; AX walks along it. R13 is two rows below R9: what lies
// there is fetched, since the hardware does not foresee rows that are far apart.
TEXT ·packAVX2(SB), NOSPLIT, $0-88
	MOVQ  dst_base+0(FP), DI
	MOVQ  width+24(FP), R11
	MOVQ  panel+32(FP), R12
	MOVQ  src_base+40(FP), SI
	MOVQ  srcRow+64(FP), R8
	MOVQ  rows+72(FP), BX
	SHLQ  $2, R8
	SHLQ  $2, R12

row:
	MOVQ cols+80(FP), DX
	MOVQ SI, R9
	MOVQ DI, R10

panel:
	MOVQ    R11, CX
	CMPQ    DX, CX
	CMOVQLT DX, CX
	SUBQ    CX, DX
	LEAQ    (R9)(R8*2), R13
	XORQ    AX, AX
	SUBQ    $8, CX
	JLT     four

eight:
	PREFETCHT0 (R13)(AX*4)
	VMOVUPS    (R9)(AX*4), Y0
	VMOVUPS    Y0, (R10)(AX*4)
	ADDQ       $8, AX
	SUBQ       $8, CX
	JGE        eight

four:
	ADDQ    $4, CX
	JLT     single
	VMOVUPS (R9)(AX*4), X0
	VMOVUPS X0, (R10)(AX*4)
	ADDQ    $4, AX
	SUBQ    $4, CX

single:
	ADDQ $4, CX
	JZ   next

one:
	MOVL (R9)(AX*4), R13
	MOVL R13, (R10)(AX*4)
	INCQ AX
	DECQ CX
	JNZ  one

next:
	LEAQ  (R9)(AX*4), R9
	ADDQ  R12, R10
	TESTQ DX, DX
	JNZ   panel

	ADDQ R8, SI
	LEAQ (DI)(R11*4), DI
	DECQ BX
	JNZ  row
	VZEROUPPER
	RET

// COLUMNS stores a block that holds two columns: the lower halves of its registers are
// one, at at, the upper halves the other, at at4. It uses B8.
#define COLUMNS(block, at, at4)       \
	VPERM2F128 $0x20, block(HIGH), block(LOW), Y8 \
	VPERM2F128 $0x31, block(HIGH), block(LOW), Y9 \
	VMOVUPS    Y8, at                 \
	VMOVUPS    Y9, at4

// func transposeBlocksAVX2(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
//	for r := 0; r < rows; r += 8 {
//		for c := 0; c < cols; c += 8 {
//			dst[c·dstRow + r:] = the 8×8 block at src[r·srcRow + c:], transposed
//		}
//	}
// Requires that rows and cols are multiples of 8, and not 0.
// src: SI, and R10 four rows on; srcRow: R8, ×3 R9; rows left: BX; cols: CX, left: DX;
// dst: DI, and R13 four rows on; dstRow: R11, ×3 R12. AX walks along src, DI down dst.
TEXT ·transposeBlocksAVX2(SB), NOSPLIT, $0-80
	MOVQ dstRow+24(FP), R11
	MOVQ srcRow+56(FP), R8
	MOVQ rows+64(FP), BX
	MOVQ cols+72(FP), CX
	SHLQ $2, R8
	SHLQ $2, R11
	LEAQ (R8)(R8*2), R9
	LEAQ (R11)(R11*2), R12
	MOVQ src_base+32(FP), SI

rowsLoop:
	MOVQ dst_base+0(FP), DI
	MOVQ SI, AX
	MOVQ CX, DX

colsLoop:
	// Rows 0 and 4 of the 8×8 to B0, 1 and 5 to B2, 2 and 6 to B4, 3 and 7 to B6.
	LEAQ    (AX)(R8*4), R10
	VMOVUPS (AX), Y0
	VMOVUPS (AX)(R8*1), Y2
	VMOVUPS (AX)(R8*2), Y4
	VMOVUPS (AX)(R9*1), Y6
	VMOVUPS (R10), Y1
	VMOVUPS (R10)(R8*1), Y3
	VMOVUPS (R10)(R8*2), Y5
	VMOVUPS (R10)(R9*1), Y7

	// Pairs of rows, interleaved; then fours: columns 0 and 4, 1 and 5, 2 and 6, 3 and 7.
	BOTH(VUNPCKLPS, B2, B0, B8)
	BOTH(VUNPCKHPS, B2, B0, B10)
	BOTH(VUNPCKLPS, B6, B4, B12)
	BOTH(VUNPCKHPS, B6, B4, B14)
	BOTH4(VSHUFPS, ONE($0x44), B12, B8, B0)
	BOTH4(VSHUFPS, ONE($0xEE), B12, B8, B2)
	BOTH4(VSHUFPS, ONE($0x44), B14, B10, B4)
	BOTH4(VSHUFPS, ONE($0xEE), B14, B10, B6)

	LEAQ (DI)(R11*4), R13
	COLUMNS(B0, (DI), (R13))
	COLUMNS(B2, (DI)(R11*1), (R13)(R11*1))
	COLUMNS(B4, (DI)(R11*2), (R13)(R11*2))
	COLUMNS(B6, (DI)(R12*1), (R13)(R12*1))

	LEAQ (R13)(R11*4), DI
	ADDQ $32, AX
	SUBQ $8, DX
	JNZ  colsLoop

	ADDQ $32, dst_base+0(FP)
	LEAQ (SI)(R8*8), SI
	SUBQ $8, BX
	JNZ  rowsLoop
	VZEROUPPER
	RET
