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
//	VFNMADD231PS a, b, c    c = −a·b + c
//	VCMPPS $1, b, a, c      c = a < b, all ones or all zeros ($5: not a < b)
//	VANDNPS b, a, c         c = b and not a
//	VBLENDVPS m, b, a, c    c = m ? b : a

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
// a whole tile the last groups are the same rows, computed more than once. Columns
// that are not there are masked when start is loaded and c is stored.
//
// t: DI. depth: CX. b: DX, its step BX. a: SI, R8, R9 and R10 are its groups, R11
// the step to the next row, R12 that along k. AX and R13: start or c, and its step.

// GROUP goes to the first row of group g of start or c.
#define GROUP(g, base)                \
	MOVQ  tile_group+8*g(DI), AX      \
	IMULQ R13, AX                     \
	ADDQ  base(DI), AX

// AGROUP makes r point to the first row of group g of a.
#define AGROUP(g, r)                  \
	MOVQ  tile_group+8*g(DI), r       \
	IMULQ R11, r                      \
	ADDQ  SI, r

// STEPS loads what t says of start or c.
#define STEPS(base, step)             \
	MOVQ base(DI), AX                 \
	MOVQ step(DI), R13                \
	SHLQ $2, R13

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
	AGROUP(1, R8)

// ROWS256 moves the six rows of a tile, from start or to c.
#define ROWS256(move, base, step)     \
	STEPS(base, step)                 \
	move(Y0, Y1)                      \
	move(Y2, Y3)                      \
	move(Y4, Y5)                      \
	GROUP(1, base)                    \
	move(Y6, Y7)                      \
	move(Y8, Y9)                      \
	move(Y10, Y11)

#define FROM256(a, b)                 \
	VMASKMOVPS (AX), Y12, a           \
	VMASKMOVPS 32(AX), Y13, b         \
	ADDQ       R13, AX

#define TO256(a, b)                   \
	VMOVUPS a, (AX)                   \
	VMOVUPS b, 32(AX)                 \
	ADDQ    R13, AX

#define TOMASKED256(a, b)             \
	VMASKMOVPS a, Y12, (AX)           \
	VMASKMOVPS b, Y13, 32(AX)         \
	ADDQ       R13, AX

// MASK256 makes the masks Y12 and Y13 for t.cols columns.
#define MASK256                       \
	LEAQ    ·tailMask+64(SB), AX     \
	MOVQ    tile_cols(DI), R13        \
	SHLQ    $2, R13                   \
	SUBQ    R13, AX                   \
	VMOVUPS (AX), Y12                 \
	VMOVUPS 32(AX), Y13

// ROW256 adds element·b to a row of the tile; t is for the element.
#define ROW256(element, t, a, b)      \
	VBROADCASTSS element, t           \
	VFMADD231PS  Y12, t, a            \
	VFMADD231PS  Y13, t, b

// func tileAVX2(t *tile)
//
// 6 rows of 16: the tile is Y0 to Y11, b Y12 and Y13, elements of a Y14 and Y15.
TEXT ·tileAVX2(SB), NOSPLIT, $0-8
	MOVQ  t+0(FP), DI
	MASK256
	ROWS256(FROM256, tile_start, tile_startRow)
	OPERANDS
	TESTQ CX, CX
	JZ    done

loop:
	VMOVUPS (DX), Y12
	VMOVUPS 32(DX), Y13
	ROW256((SI), Y14, Y0, Y1)
	ROW256((SI)(R11*1), Y15, Y2, Y3)
	ROW256((SI)(R11*2), Y14, Y4, Y5)
	ROW256((R8), Y15, Y6, Y7)
	ROW256((R8)(R11*1), Y14, Y8, Y9)
	ROW256((R8)(R11*2), Y15, Y10, Y11)
	ADDQ    R12, SI
	ADDQ    R12, R8
	ADDQ    BX, DX
	DECQ    CX
	JNZ     loop

done:
	CMPQ tile_cols(DI), $16
	JNE  masked
	ROWS256(TO256, tile_c, tile_cRow)
	VZEROUPPER
	RET

masked:
	MASK256
	ROWS256(TOMASKED256, tile_c, tile_cRow)
	VZEROUPPER
	RET

// ROWS512 moves the twelve rows of a tile, from start or to c.
#define ROWS512(move, base, step)     \
	STEPS(base, step)                 \
	move(Z0, Z1)                      \
	move(Z2, Z3)                      \
	move(Z4, Z5)                      \
	GROUP(1, base)                    \
	move(Z6, Z7)                      \
	move(Z8, Z9)                      \
	move(Z10, Z11)                    \
	GROUP(2, base)                    \
	move(Z12, Z13)                    \
	move(Z14, Z15)                    \
	move(Z16, Z17)                    \
	GROUP(3, base)                    \
	move(Z18, Z19)                    \
	move(Z20, Z21)                    \
	move(Z22, Z23)

#define FROM512(a, b)                 \
	VMOVUPS.Z (AX), K1, a             \
	VMOVUPS.Z 64(AX), K2, b           \
	ADDQ      R13, AX

#define FETCH512(a, b)                \
	PREFETCHT0 128(AX)                 \
	PREFETCHT0 191(AX)                 \
	ADDQ      R13, AX

#define TO512(a, b)                   \
	VMOVUPS a, K1, (AX)               \
	VMOVUPS b, K2, 64(AX)             \
	ADDQ    R13, AX

// STEP512 does one step of k, by row(element, register for it, row of the tile).
#define STEP512(row)                  \
	row((SI), Z26, Z0, Z1)            \
	row((SI)(R11*1), Z27, Z2, Z3)     \
	row((SI)(R11*2), Z28, Z4, Z5)     \
	row((R8), Z29, Z6, Z7)            \
	row((R8)(R11*1), Z26, Z8, Z9)     \
	row((R8)(R11*2), Z27, Z10, Z11)   \
	row((R9), Z28, Z12, Z13)          \
	row((R9)(R11*1), Z29, Z14, Z15)   \
	row((R9)(R11*2), Z26, Z16, Z17)   \
	row((R10), Z27, Z18, Z19)         \
	row((R10)(R11*1), Z28, Z20, Z21)  \
	row((R10)(R11*2), Z29, Z22, Z23)  \
	ADDQ R12, SI                      \
	ADDQ R12, R8                      \
	ADDQ R12, R9                      \
	ADDQ R12, R10                     \
	ADDQ BX, DX

#define BOTH512(element, t, a, b)     \
	VBROADCASTSS element, t           \
	VFMADD231PS  Z24, t, a            \
	VFMADD231PS  Z25, t, b

#define LEFT512(element, t, a, b)     \
	VBROADCASTSS element, t           \
	VFMADD231PS  Z24, t, a

// func tileAVX512(t *tile)
//
// 12 rows of 32: the tile is Z0 to Z23, b Z24 and Z25, elements of a Z26 to Z29.
// If there are no more than 16 columns, only the left half is computed.
TEXT ·tileAVX512(SB), NOSPLIT, $0-8
	MOVQ  t+0(FP), DI
	MOVQ  $32, CX
	SUBQ  tile_cols(DI), CX
	MOVL  $-1, AX
	SHRL  CX, AX
	KMOVW AX, K1
	SHRL  $16, AX
	KMOVW AX, K2
	ROWS512(FROM512, tile_start, tile_startRow)
	ROWS512(FETCH512, tile_c, tile_cRow)
	OPERANDS
	AGROUP(2, R9)
	AGROUP(3, R10)
	TESTQ CX, CX
	JZ    done
	CMPQ  tile_cols(DI), $16
	JLE   half

loop:
	VMOVUPS (DX), Z24
	VMOVUPS 64(DX), Z25
	PREFETCHT0 (DX)(BX*8)
	PREFETCHT0 64(DX)(BX*8)
	STEP512(BOTH512)
	DECQ    CX
	JNZ     loop
	JMP     done

half:
	VMOVUPS (DX), Z24
	STEP512(LEFT512)
	DECQ    CX
	JNZ     half

done:
	ROWS512(TO512, tile_c, tile_cRow)
	VZEROUPPER
	RET

// The vector kernels: slices of one length, 16 floats at a time.

// EACH runs body over all blocks of 16 floats of slices of length CX, each in two
// registers. loads and stores move the blocks; they get the name of the move. AX
// is the place of the block, in bytes. The 0 to 15 floats that are left at the end
// go through the same body, but are moved under a mask: memory outside the slices
// is not touched, and what is not there reads as 0. The mask, Y14 and Y15, is all
// ones until then. R10 is used for it.
#define EACH(loads, body, stores)     \
	XORQ     AX, AX                   \
	VPCMPEQD Y14, Y14, Y14            \
	VPCMPEQD Y15, Y15, Y15            \
	SUBQ     $16, CX                  \
	JLT      tail                     \
loop:                                 \
	loads(LOAD)                       \
	body                              \
	stores(STORE)                     \
	ADDQ     $64, AX                  \
	SUBQ     $16, CX                  \
	JGE      loop                     \
tail:                                 \
	NEGQ     CX                       \
	CMPQ     CX, $16                  \
	JEQ      done                     \
	LEAQ     ·tailMask(SB), R10      \
	VMOVUPS  (R10)(CX*4), Y14         \
	VMOVUPS  32(R10)(CX*4), Y15       \
	loads(LOADTAIL)                   \
	body                              \
	stores(STORETAIL)                 \
done:

#define LOAD(p, a, b)                 \
	VMOVUPS (p)(AX*1), a              \
	VMOVUPS 32(p)(AX*1), b

#define STORE(p, a, b)                \
	VMOVUPS a, (p)(AX*1)              \
	VMOVUPS b, 32(p)(AX*1)

#define LOADTAIL(p, a, b)             \
	VMASKMOVPS (p)(AX*1), Y14, a      \
	VMASKMOVPS 32(p)(AX*1), Y15, b

#define STORETAIL(p, a, b)            \
	VMASKMOVPS a, Y14, (p)(AX*1)      \
	VMASKMOVPS b, Y15, 32(p)(AX*1)

#define NOTHING(move)

// CONSTANT(i) is constants[i] of kernels_amd64.go.
#define CONSTANT(i) ·constants+(4*i)(SB)

// PAIR does the same to both registers of a block: op operand, block, block.
#define PAIR(op, operand, a, b)       \
	op operand, a, a                  \
	op operand, b, b

// TOTAL adds the 16 lanes in a, b by halves: 8, 4, 2, 1. The sum is in xa, the
// lower half of a; xb is that of b.
#define TOTAL(a, b, xa, xb)           \
	VADDPS       b, a, a              \
	VEXTRACTF128 $1, a, xb            \
	VADDPS       xb, xa, xa           \
	VPERMILPS    $14, xa, xb          \
	VADDPS       xb, xa, xa           \
	VPERMILPS    $1, xa, xb           \
	VADDSS       xb, xa, xa

// ZERO sets both registers to zero.
#define ZERO(a, b)                    \
	VXORPS a, a, a                    \
	VXORPS b, b, b

// func addAVX2(y, x []float32)
//
//	for i { y[i] += x[i] }
//
// y: DI, Y0-1; x: SI, Y2-3.
#define ADD_LOADS(move)               \
	move(DI, Y0, Y1)                  \
	move(SI, Y2, Y3)

#define ADD                           \
	VADDPS Y2, Y0, Y0                 \
	VADDPS Y3, Y1, Y1

#define Y_STORES(move) move(DI, Y0, Y1)

TEXT ·addAVX2(SB), NOSPLIT, $0-48
	MOVQ y_base+0(FP), DI
	MOVQ y_len+8(FP), CX
	MOVQ x_base+24(FP), SI
	EACH(ADD_LOADS, ADD, Y_STORES)
	VZEROUPPER
	RET

// func mulAddAVX2(y, a, b []float32)
//
//	for i { y[i] = fma(a[i], b[i], y[i]) }
//
// y: DI, Y0-1; a: SI, Y2-3; b: DX, Y4-5.
#define MULADD_LOADS(move)            \
	move(DI, Y0, Y1)                  \
	DOT_LOADS(move)

#define DOT_LOADS(move)               \
	move(SI, Y2, Y3)                  \
	move(DX, Y4, Y5)

#define MULADD                        \
	VFMADD231PS Y4, Y2, Y0            \
	VFMADD231PS Y5, Y3, Y1

TEXT ·mulAddAVX2(SB), NOSPLIT, $0-72
	MOVQ y_base+0(FP), DI
	MOVQ y_len+8(FP), CX
	MOVQ a_base+24(FP), SI
	MOVQ b_base+48(FP), DX
	EACH(MULADD_LOADS, MULADD, Y_STORES)
	VZEROUPPER
	RET

// func scaleAVX2(y []float32, s float32)
//
//	for i { y[i] *= s }
//
// y: DI, Y0-1; s: Y2.
#define Y_LOADS(move) move(DI, Y0, Y1)

#define SCALE PAIR(VMULPS, Y2, Y0, Y1)

TEXT ·scaleAVX2(SB), NOSPLIT, $0-28
	MOVQ         y_base+0(FP), DI
	MOVQ         y_len+8(FP), CX
	VBROADCASTSS s+24(FP), Y2
	EACH(Y_LOADS, SCALE, Y_STORES)
	VZEROUPPER
	RET

// func sumAVX2(x []float32) float32
//
//	for i { lane[i%16] += x[i] }; return total(lane)
//
// x: SI, Y2-3; lanes: Y0-1.
#define X_LOADS(move) move(SI, Y2, Y3)

TEXT ·sumAVX2(SB), NOSPLIT, $0-28
	MOVQ x_base+0(FP), SI
	MOVQ x_len+8(FP), CX
	ZERO(Y0, Y1)
	EACH(X_LOADS, ADD, NOTHING)
	TOTAL(Y0, Y1, X0, X1)
	MOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func dotAVX2(a, b []float32) float32
//
//	for i { lane[i%16] = fma(a[i], b[i], lane[i%16]) }; return total(lane)
//
// a: SI, Y2-3; b: DX, Y4-5; lanes: Y0-1.
TEXT ·dotAVX2(SB), NOSPLIT, $0-52
	MOVQ a_base+0(FP), SI
	MOVQ a_len+8(FP), CX
	MOVQ b_base+24(FP), DX
	ZERO(Y0, Y1)
	EACH(DOT_LOADS, MULADD, NOTHING)
	TOTAL(Y0, Y1, X0, X1)
	MOVSS X0, ret+48(FP)
	VZEROUPPER
	RET

// func squaresAVX2(x []float32, center float32) float32
//
//	for i { d = x[i] − center; lane[i%16] = fma(d, d, lane[i%16]) }; return total(lane)
//
// x: SI; d: Y2-3, 0 where no x is; lanes: Y0-1; center: Y4.
#define SQUARES                       \
	PAIR(VSUBPS, Y4, Y2, Y3)          \
	VANDPS      Y14, Y2, Y2           \
	VANDPS      Y15, Y3, Y3           \
	VFMADD231PS Y2, Y2, Y0            \
	VFMADD231PS Y3, Y3, Y1

TEXT ·squaresAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS center+24(FP), Y4
	ZERO(Y0, Y1)
	EACH(X_LOADS, SQUARES, NOTHING)
	TOTAL(Y0, Y1, X0, X1)
	MOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func maximumAVX2(x []float32) float32
//
//	for i { if x[i] > lane[i%16] { lane[i%16] = x[i] } }; return the greatest lane
//
// x: SI, Y2-3, −∞ where no x is; lanes: Y0-1; −∞: Y4.
#define MAXIMUM                       \
	VBLENDVPS Y14, Y2, Y4, Y2         \
	VBLENDVPS Y15, Y3, Y4, Y3         \
	VMAXPS    Y0, Y2, Y0              \
	VMAXPS    Y1, Y3, Y1

TEXT ·maximumAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VPCMPEQD     Y4, Y4, Y4
	VPSLLD       $23, Y4, Y4          // ones from bit 23 on are −∞
	VMOVAPS      Y4, Y0
	VMOVAPS      Y4, Y1
	EACH(X_LOADS, MAXIMUM, NOTHING)
	VMAXPS       Y0, Y1, Y0           // by halves: 8, 4, 2, 1
	VEXTRACTF128 $1, Y0, X1
	VMAXPS       X0, X1, X0
	VPERMILPS    $14, X0, X1
	VMAXPS       X0, X1, X0
	VPERMILPS    $1, X0, X1
	VMAXSS       X0, X1, X0
	MOVSS        X0, ret+24(FP)
	VZEROUPPER
	RET

// EXP is exp of Y0-1, in place; it uses Y2 to Y9.
//
//	n = round(x·log₂e)             Y4-5
//	r = x − n·ln 2                 Y6-7
//	p = e^r, by Horner's rule      Y8-9
//	x = x < expLowest ? 0 : p·2ⁿ   (n·2²³ plus the bits of 1 are the bits of 2ⁿ)
#define EXP                           \
	VBROADCASTSS CONSTANT(0), Y2      \
	VMULPS       Y2, Y0, Y4           \
	VMULPS       Y2, Y1, Y5           \
	VROUNDPS     $8, Y4, Y4           \
	VROUNDPS     $8, Y5, Y5           \
	VMOVAPS      Y0, Y6               \
	VMOVAPS      Y1, Y7               \
	VBROADCASTSS CONSTANT(1), Y2      \
	VFMADD231PS  Y2, Y4, Y6           \
	VFMADD231PS  Y2, Y5, Y7           \
	VBROADCASTSS CONSTANT(2), Y2      \
	VFMADD231PS  Y2, Y4, Y6           \
	VFMADD231PS  Y2, Y5, Y7           \
	VBROADCASTSS CONSTANT(3), Y8      \
	VMOVAPS      Y8, Y9               \
	HORNER(4, Y6, Y7, Y8, Y9)         \
	HORNER(5, Y6, Y7, Y8, Y9)         \
	HORNER(6, Y6, Y7, Y8, Y9)         \
	HORNER(7, Y6, Y7, Y8, Y9)         \
	HORNER(8, Y6, Y7, Y8, Y9)         \
	HORNER(8, Y6, Y7, Y8, Y9)         \
	VCVTPS2DQ    Y4, Y4               \
	VCVTPS2DQ    Y5, Y5               \
	VPSLLD       $23, Y4, Y4          \
	VPSLLD       $23, Y5, Y5          \
	PAIR(VPADDD, Y2, Y4, Y5)          \
	VMULPS       Y4, Y8, Y8           \
	VMULPS       Y5, Y9, Y9           \
	VBROADCASTSS CONSTANT(9), Y2      \
	VCMPPS       $5, Y2, Y0, Y0       \
	VCMPPS       $5, Y2, Y1, Y1       \
	VANDPS       Y8, Y0, Y0           \
	VANDPS       Y9, Y1, Y1

// HORNER: p = p·x + constant i, which is then in Y2.
#define HORNER(i, xa, xb, pa, pb)     \
	VBROADCASTSS CONSTANT(i), Y2      \
	VFMADD213PS  Y2, xa, pa           \
	VFMADD213PS  Y2, xb, pb

// func expSumAVX2(x []float32, max, scale float32) float32
//
//	for i { x[i] = exp((x[i] − max)·scale); lane[i%16] += x[i] }; return total(lane)
//
// x: DI, Y0-1; lanes: Y10-11; max: Y12; scale: Y13.
#define EXPSUM                        \
	PAIR(VSUBPS, Y12, Y0, Y1)         \
	PAIR(VMULPS, Y13, Y0, Y1)         \
	EXP                               \
	VANDPS Y14, Y0, Y2                \
	VANDPS Y15, Y1, Y3                \
	VADDPS Y2, Y10, Y10               \
	VADDPS Y3, Y11, Y11

TEXT ·expSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS max+24(FP), Y12
	VBROADCASTSS scale+28(FP), Y13
	ZERO(Y10, Y11)
	EACH(Y_LOADS, EXPSUM, Y_STORES)
	TOTAL(Y10, Y11, X10, X11)
	MOVSS        X10, ret+32(FP)
	VZEROUPPER
	RET

// func softmaxBackwardAVX2(dp, p []float32, d, scale float32)
//
//	for i { dp[i] = ((dp[i] − d)·p[i])·scale }
//
// dp: DI, Y0-1; p: SI, Y2-3; d: Y4; scale: Y5.
#define SOFTMAXBACKWARD               \
	PAIR(VSUBPS, Y4, Y0, Y1)          \
	VMULPS Y2, Y0, Y0                 \
	VMULPS Y3, Y1, Y1                 \
	PAIR(VMULPS, Y5, Y0, Y1)

TEXT ·softmaxBackwardAVX2(SB), NOSPLIT, $0-56
	MOVQ         dp_base+0(FP), DI
	MOVQ         dp_len+8(FP), CX
	MOVQ         p_base+24(FP), SI
	VBROADCASTSS d+48(FP), Y4
	VBROADCASTSS scale+52(FP), Y5
	EACH(ADD_LOADS, SOFTMAXBACKWARD, Y_STORES)
	VZEROUPPER
	RET

// NORMAL makes of x in Y10-11 the normal distribution at x in Y6-7 and
// e = e^(−x²/2) in Y0-1; it uses Y2 to Y9.
//
//	t = 1/(tailScale·|x| + 1)      Y4-5
//	tail = t·p(t)·e                Y6-7
//	x < 0 ? tail : 1 − tail        Y6-7
#define NORMAL                        \
	VBROADCASTSS CONSTANT(10), Y2     \
	VMULPS       Y2, Y10, Y0          \
	VMULPS       Y2, Y11, Y1          \
	VMULPS       Y10, Y0, Y0          \
	VMULPS       Y11, Y1, Y1          \
	EXP                               \
	VPCMPEQD     Y2, Y2, Y2           \
	VPSRLD       $1, Y2, Y2           \
	VANDPS       Y10, Y2, Y4          \
	VANDPS       Y11, Y2, Y5          \
	VBROADCASTSS CONSTANT(11), Y2     \
	VBROADCASTSS CONSTANT(8), Y3      \
	VFMADD213PS  Y3, Y2, Y4           \
	VFMADD213PS  Y3, Y2, Y5           \
	VDIVPS       Y4, Y3, Y4           \
	VDIVPS       Y5, Y3, Y5           \
	VBROADCASTSS CONSTANT(12), Y6     \
	VMOVAPS      Y6, Y7               \
	HORNER(13, Y4, Y5, Y6, Y7)        \
	HORNER(14, Y4, Y5, Y6, Y7)        \
	HORNER(15, Y4, Y5, Y6, Y7)        \
	HORNER(16, Y4, Y5, Y6, Y7)        \
	HORNER(17, Y4, Y5, Y6, Y7)        \
	VMULPS       Y4, Y6, Y6           \
	VMULPS       Y5, Y7, Y7           \
	VMULPS       Y0, Y6, Y6           \
	VMULPS       Y1, Y7, Y7           \
	VSUBPS       Y6, Y3, Y4           \
	VSUBPS       Y7, Y3, Y5           \
	VXORPS       Y2, Y2, Y2           \
	VCMPPS       $1, Y2, Y10, Y8      \
	VCMPPS       $1, Y2, Y11, Y9      \
	VBLENDVPS    Y8, Y6, Y4, Y6       \
	VBLENDVPS    Y9, Y7, Y5, Y7

// func geluAVX2(y, x []float32)
//
//	for i { y[i] = x[i]·Φ(x[i]) }
//
// y: DI, Y0-1; x: SI, Y10-11.
#define GELU_LOADS(move) move(SI, Y10, Y11)

#define GELU                          \
	NORMAL                            \
	VMULPS Y6, Y10, Y0                \
	VMULPS Y7, Y11, Y1

TEXT ·geluAVX2(SB), NOSPLIT, $0-48
	MOVQ y_base+0(FP), DI
	MOVQ y_len+8(FP), CX
	MOVQ x_base+24(FP), SI
	EACH(GELU_LOADS, GELU, Y_STORES)
	VZEROUPPER
	RET

// func geluBackwardAVX2(dx, dy, x []float32)
//
//	for i { dx[i] = dy[i]·fma(x[i], φ(x[i]), Φ(x[i])) }
//
// dx: DI, Y0-1; dy: DX, Y12-13; x: SI, Y10-11.
#define GELUBACKWARD_LOADS(move)      \
	move(SI, Y10, Y11)                \
	move(DX, Y12, Y13)

#define GELUBACKWARD                  \
	NORMAL                            \
	VBROADCASTSS CONSTANT(18), Y2     \
	PAIR(VMULPS, Y2, Y0, Y1)          \
	VFMADD231PS  Y0, Y10, Y6          \
	VFMADD231PS  Y1, Y11, Y7          \
	VMULPS       Y6, Y12, Y0          \
	VMULPS       Y7, Y13, Y1

TEXT ·geluBackwardAVX2(SB), NOSPLIT, $0-72
	MOVQ dx_base+0(FP), DI
	MOVQ dx_len+8(FP), CX
	MOVQ dy_base+24(FP), DX
	MOVQ x_base+48(FP), SI
	EACH(GELUBACKWARD_LOADS, GELUBACKWARD, Y_STORES)
	VZEROUPPER
	RET

// func normalizeAVX2(y, xhat, x, gain, bias []float32, mean, rstd float32)
//
//	for i { xhat[i] = (x[i] − mean)·rstd; y[i] = fma(xhat[i], gain[i], bias[i]) }
//
// y: DI; xhat: DX, Y0-1; x: SI; gain: R8, Y2-3; bias: R9, Y4-5; mean: Y6; rstd: Y7.
#define NORMALIZE_LOADS(move)         \
	move(SI, Y0, Y1)                  \
	move(R8, Y2, Y3)                  \
	move(R9, Y4, Y5)

#define NORMALIZE                     \
	PAIR(VSUBPS, Y6, Y0, Y1)          \
	PAIR(VMULPS, Y7, Y0, Y1)          \
	VFMADD231PS Y2, Y0, Y4            \
	VFMADD231PS Y3, Y1, Y5

#define NORMALIZE_STORES(move)        \
	move(DX, Y0, Y1)                  \
	move(DI, Y4, Y5)

TEXT ·normalizeAVX2(SB), NOSPLIT, $0-128
	MOVQ         y_base+0(FP), DI
	MOVQ         xhat_base+24(FP), DX
	MOVQ         x_base+48(FP), SI
	MOVQ         x_len+56(FP), CX
	MOVQ         gain_base+72(FP), R8
	MOVQ         bias_base+96(FP), R9
	VBROADCASTSS mean+120(FP), Y6
	VBROADCASTSS rstd+124(FP), Y7
	EACH(NORMALIZE_LOADS, NORMALIZE, NORMALIZE_STORES)
	VZEROUPPER
	RET

// func normalizeSumsAVX2(dy, gain, xhat []float32) (sum, dot float32)
//
//	for i {
//		g = dy[i]·gain[i]
//		s[i%16] += g
//		d[i%16] = fma(g, xhat[i], d[i%16])
//	}
//	return total(s), total(d)
//
// dy: SI; gain: R8; xhat: DX, Y4-5; g: Y2-3; s: Y0-1; d: Y6-7.
#define GRADIENT_LOADS(move)          \
	move(SI, Y2, Y3)                  \
	move(R8, Y8, Y9)                  \
	move(DX, Y4, Y5)

#define NORMALIZESUMS                 \
	VMULPS      Y8, Y2, Y2            \
	VMULPS      Y9, Y3, Y3            \
	ADD                               \
	VFMADD231PS Y4, Y2, Y6            \
	VFMADD231PS Y5, Y3, Y7

TEXT ·normalizeSumsAVX2(SB), NOSPLIT, $0-80
	MOVQ  dy_base+0(FP), SI
	MOVQ  dy_len+8(FP), CX
	MOVQ  gain_base+24(FP), R8
	MOVQ  xhat_base+48(FP), DX
	ZERO(Y0, Y1)
	ZERO(Y6, Y7)
	EACH(GRADIENT_LOADS, NORMALIZESUMS, NOTHING)
	TOTAL(Y0, Y1, X0, X1)
	TOTAL(Y6, Y7, X6, X7)
	MOVSS X0, sum+72(FP)
	MOVSS X6, dot+76(FP)
	VZEROUPPER
	RET

// func normalizeBackwardAVX2(dx, dy, gain, xhat []float32, mean, dot, rstd float32)
//
//	for i { dx[i] = fma(−dot, xhat[i], dy[i]·gain[i] − mean)·rstd }
//
// dx: DI, Y0-1; dy: SI, Y2-3; gain: R8, Y8-9; xhat: DX, Y4-5; mean: Y10; dot: Y11; rstd: Y12.
#define NORMALIZEBACKWARD             \
	VMULPS       Y8, Y2, Y0           \
	VMULPS       Y9, Y3, Y1           \
	PAIR(VSUBPS, Y10, Y0, Y1)         \
	VFNMADD231PS Y4, Y11, Y0          \
	VFNMADD231PS Y5, Y11, Y1          \
	PAIR(VMULPS, Y12, Y0, Y1)

TEXT ·normalizeBackwardAVX2(SB), NOSPLIT, $0-108
	MOVQ         dx_base+0(FP), DI
	MOVQ         dx_len+8(FP), CX
	MOVQ         dy_base+24(FP), SI
	MOVQ         gain_base+48(FP), R8
	MOVQ         xhat_base+72(FP), DX
	VBROADCASTSS mean+96(FP), Y10
	VBROADCASTSS dot+100(FP), Y11
	VBROADCASTSS rstd+104(FP), Y12
	EACH(GRADIENT_LOADS, NORMALIZEBACKWARD, Y_STORES)
	VZEROUPPER
	RET

// func dropoutAVX2(y, x []float32, first, key, threshold uint32, scale float32)
//
//	for i { y[i] = hash((first + i) ^ key)>>1 < threshold ? 0 : x[i]·scale }
//
// y: DI, Y0-1; x: SI, Y0-1; the place first + i: Y4-5; key: Y6; threshold: Y7;
// scale: Y8; 16: Y9; the factors of the hash: Y10 and Y11; hash: Y2-3.
#define DROPOUT_LOADS(move) move(SI, Y0, Y1)

// XORSHIFT: h ^= h>>n, for the hashes in Y2-3.
#define XORSHIFT(n)                   \
	VPSRLD n, Y2, Y12                 \
	VPSRLD n, Y3, Y13                 \
	VPXOR  Y12, Y2, Y2                \
	VPXOR  Y13, Y3, Y3

#define DROPOUT                       \
	VPXOR    Y6, Y4, Y2               \
	VPXOR    Y6, Y5, Y3               \
	XORSHIFT($16)                     \
	PAIR(VPMULLD, Y10, Y2, Y3)        \
	XORSHIFT($13)                     \
	PAIR(VPMULLD, Y11, Y2, Y3)        \
	XORSHIFT($16)                     \
	VPSRLD   $1, Y2, Y2               \
	VPSRLD   $1, Y3, Y3               \
	VPCMPGTD Y2, Y7, Y2               \
	VPCMPGTD Y3, Y7, Y3               \
	PAIR(VMULPS, Y8, Y0, Y1)          \
	VANDNPS  Y0, Y2, Y0               \
	VANDNPS  Y1, Y3, Y1               \
	PAIR(VPADDD, Y9, Y4, Y5)

TEXT ·dropoutAVX2(SB), NOSPLIT, $0-64
	MOVQ         y_base+0(FP), DI
	MOVQ         y_len+8(FP), CX
	MOVQ         x_base+24(FP), SI
	VBROADCASTSS first+48(FP), Y4
	VPADDD       ·places+32(SB), Y4, Y5
	VPADDD       ·places+0(SB), Y4, Y4
	VBROADCASTSS key+52(FP), Y6
	VBROADCASTSS threshold+56(FP), Y7
	VBROADCASTSS scale+60(FP), Y8
	VBROADCASTSS ·places+64(SB), Y9
	VBROADCASTSS ·places+68(SB), Y10
	VBROADCASTSS ·places+72(SB), Y11
	EACH(DROPOUT_LOADS, DROPOUT, Y_STORES)
	VZEROUPPER
	RET

// func adamwAVX2(p, g, m, v []float32, c *adamwConstants)
//
//	for i {
//		g' = clip·g[i]
//		m[i] = fma(β₁, m[i], g'·(1−β₁))
//		v[i] = fma(β₂, v[i], g'²·(1−β₂))
//		p[i] = fma(−rate, m[i]/fma(√v[i], root, ε), p[i]·shrink)
//	}
//
// p: DI, Y0-1; g: SI, Y2-3; m: DX, Y4-5; v: R8, Y6-7; c: R9, from which each
// constant goes to Y10 when it is needed.
#define ADAMW_LOADS(move)             \
	move(SI, Y2, Y3)                  \
	ADAMW_STORES(move)

#define ADAMW_STORES(move)            \
	move(DI, Y0, Y1)                  \
	move(DX, Y4, Y5)                  \
	move(R8, Y6, Y7)

#define FROM_C(field) VBROADCASTSS field(R9), Y10

#define ADAMW                         \
	FROM_C(adamwConstants_clip) \
	PAIR(VMULPS, Y10, Y2, Y3)         \
	FROM_C(adamwConstants_rest1) \
	VMULPS       Y10, Y2, Y8          \
	VMULPS       Y10, Y3, Y9          \
	FROM_C(adamwConstants_beta1) \
	VFMADD213PS  Y8, Y10, Y4          \
	VFMADD213PS  Y9, Y10, Y5          \
	FROM_C(adamwConstants_rest2) \
	VMULPS       Y2, Y2, Y2           \
	VMULPS       Y3, Y3, Y3           \
	PAIR(VMULPS, Y10, Y2, Y3)         \
	FROM_C(adamwConstants_beta2) \
	VFMADD213PS  Y2, Y10, Y6          \
	VFMADD213PS  Y3, Y10, Y7          \
	VSQRTPS      Y6, Y8               \
	VSQRTPS      Y7, Y9               \
	FROM_C(adamwConstants_epsilon) \
	VMOVAPS      Y10, Y11             \
	FROM_C(adamwConstants_root) \
	VFMADD213PS  Y11, Y10, Y8         \
	VFMADD213PS  Y11, Y10, Y9         \
	VDIVPS       Y8, Y4, Y8           \
	VDIVPS       Y9, Y5, Y9           \
	FROM_C(adamwConstants_shrink) \
	PAIR(VMULPS, Y10, Y0, Y1)         \
	FROM_C(adamwConstants_rate) \
	VFNMADD231PS Y8, Y10, Y0          \
	VFNMADD231PS Y9, Y10, Y1

TEXT ·adamwAVX2(SB), NOSPLIT, $0-104
	MOVQ p_base+0(FP), DI
	MOVQ p_len+8(FP), CX
	MOVQ g_base+24(FP), SI
	MOVQ m_base+48(FP), DX
	MOVQ v_base+72(FP), R8
	MOVQ c+96(FP), R9
	EACH(ADAMW_LOADS, ADAMW, ADAMW_STORES)
	VZEROUPPER
	RET

// func packAVX2(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
//
//	for r, c { dst[c/width·panel + r·width + c%width] = src[r·srcRow + c] }
//
// dst: DI, its step along r R11, that from panel to panel R12; src: SI, its step R8;
// rows left: BX; columns left in the row: DX, in the panel: CX. R9 is at the place
// in src, R10 at the panel's row in dst.
TEXT ·packAVX2(SB), NOSPLIT, $0-88
	MOVQ  dst_base+0(FP), DI
	MOVQ  width+24(FP), R11
	MOVQ  panel+32(FP), R12
	MOVQ  src_base+40(FP), SI
	MOVQ  srcRow+64(FP), R8
	MOVQ  rows+72(FP), BX
	SHLQ  $2, R8
	SHLQ  $2, R12
	TESTQ BX, BX
	JZ    done

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
	VMOVUPS (R9)(AX*4), Y0
	VMOVUPS Y0, (R10)(AX*4)
	ADDQ    $8, AX
	SUBQ    $8, CX
	JGE     eight

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

done:
	VZEROUPPER
	RET

// func transposeBlocksAVX2(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
//
//	for r := 0; r < rows; r += 8 {
//		for c := 0; c < cols; c += 8 {
//			dst[c·dstRow + r:] = the 8×8 block at src[r·srcRow + c:], transposed
//		}
//	}
//
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
	// The rows of the block.
	LEAQ    (AX)(R8*4), R10
	VMOVUPS (AX), Y0
	VMOVUPS (AX)(R8*1), Y1
	VMOVUPS (AX)(R8*2), Y2
	VMOVUPS (AX)(R9*1), Y3
	VMOVUPS (R10), Y4
	VMOVUPS (R10)(R8*1), Y5
	VMOVUPS (R10)(R8*2), Y6
	VMOVUPS (R10)(R9*1), Y7

	// Pairs of rows, interleaved.
	VUNPCKLPS Y1, Y0, Y8
	VUNPCKHPS Y1, Y0, Y9
	VUNPCKLPS Y3, Y2, Y10
	VUNPCKHPS Y3, Y2, Y11
	VUNPCKLPS Y5, Y4, Y12
	VUNPCKHPS Y5, Y4, Y13
	VUNPCKLPS Y7, Y6, Y14
	VUNPCKHPS Y7, Y6, Y15

	// Fours of rows.
	VSHUFPS $0x44, Y10, Y8, Y0
	VSHUFPS $0xEE, Y10, Y8, Y1
	VSHUFPS $0x44, Y11, Y9, Y2
	VSHUFPS $0xEE, Y11, Y9, Y3
	VSHUFPS $0x44, Y14, Y12, Y4
	VSHUFPS $0xEE, Y14, Y12, Y5
	VSHUFPS $0x44, Y15, Y13, Y6
	VSHUFPS $0xEE, Y15, Y13, Y7

	// All eight: column 0 is the lower halves of Y0 and Y4, column 4 the upper.
	VPERM2F128 $0x20, Y4, Y0, Y8
	VPERM2F128 $0x20, Y5, Y1, Y9
	VPERM2F128 $0x20, Y6, Y2, Y10
	VPERM2F128 $0x20, Y7, Y3, Y11
	VPERM2F128 $0x31, Y4, Y0, Y12
	VPERM2F128 $0x31, Y5, Y1, Y13
	VPERM2F128 $0x31, Y6, Y2, Y14
	VPERM2F128 $0x31, Y7, Y3, Y15

	LEAQ    (DI)(R11*4), R13
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, (DI)(R11*1)
	VMOVUPS Y10, (DI)(R11*2)
	VMOVUPS Y11, (DI)(R12*1)
	VMOVUPS Y12, (R13)
	VMOVUPS Y13, (R13)(R11*1)
	VMOVUPS Y14, (R13)(R11*2)
	VMOVUPS Y15, (R13)(R12*1)

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

