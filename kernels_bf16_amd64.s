//go:build !purego

#include "textflag.h"

// Products in bfloat16 (kernels_bf16.go), but for the tiles of kernels_amd64.s: how these
// flush where there is no VDPBF16PS, and what packs pairs where there is.

// FLUSHING calls a tile with MXCSR's bits 15 and 6 set: subnormal results and operands are 0.
#define FLUSHING(tile)                \
	MOVQ    t+0(FP), AX               \
	MOVQ    AX, 0(SP)                 \
	STMXCSR saved-4(SP)               \
	MOVL    saved-4(SP), AX           \
	ORL     $0x8040, AX               \
	MOVL    AX, flushing-8(SP)        \
	LDMXCSR flushing-8(SP)            \
	CALL    tile                      \
	LDMXCSR saved-4(SP)               \
	RET

// func tileFlushingAVX2(t *tile)
TEXT ·tileFlushingAVX2(SB), NOSPLIT, $16-8
	FLUSHING(·tileAVX2(SB))

// func tileFlushingAVX512(t *tile)
TEXT ·tileFlushingAVX512(SB), NOSPLIT, $16-8
	FLUSHING(·tileAVX512(SB))

// TOBF16 rounds Z0 to the lower half of Z2 and Z1 to the upper half, as roundBF16 does. Go's
// assembler does not know it: it is VCVTNE2PS2BF16 Z0, Z1, Z2.
#define TOBF16                        \
	BYTE $0x62; BYTE $0xF2; BYTE $0x77 \
	BYTE $0x48; BYTE $0x72; BYTE $0xD0

// LANES makes R11 and k a mask of the lower n bits; n is CX.
#define LANES(n, k)                   \
	MOVL  $1, R11                     \
	SHLQ  n, R11                      \
	DECQ  R11                         \
	KMOVW R11, k

// func pairRowsAVX512(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
//	for i, p { dst[i·dstRow + p] = the pair of src[i·srcRow + 2p] and the one after it, or 0 }
// Requires at least one row and one column.
// dst: DI, its step R9, its place R12; src: SI, its step R8, its place R10; rows left: BX; whole
// 32 columns of a row: DX, left of them CX, and those over: R13, with masks K1 and K2, and K3
// of their pairs. The row two below is fetched.
TEXT ·pairRowsAVX512(SB), NOSPLIT, $0-80
	MOVQ  dst_base+0(FP), DI
	MOVQ  dstRow+24(FP), R9
	MOVQ  src_base+32(FP), SI
	MOVQ  srcRow+56(FP), R8
	MOVQ  rows+64(FP), BX
	MOVQ  cols+72(FP), DX
	SHLQ  $2, R8
	SHLQ  $2, R9
	MOVQ  DX, R13
	ANDQ  $31, R13
	MOVQ  R13, CX
	LANES(CX, K1)
	SHRQ  $16, R11
	KMOVW R11, K2
	INCQ  CX
	SHRQ  $1, CX
	LANES(CX, K3)
	SHRQ  $5, DX

row:
	MOVQ  SI, R10
	MOVQ  DI, R12
	MOVQ  DX, CX
	TESTQ CX, CX
	JZ    over

loop:
	PREFETCHT0 (R10)(R8*2)
	PREFETCHT0 64(R10)(R8*2)
	VMOVUPS (R10), Z0
	VMOVUPS 64(R10), Z1
	TOBF16
	VMOVUPS Z2, (R12)
	ADDQ    $128, R10
	ADDQ    $64, R12
	DECQ    CX
	JNZ     loop

over:
	TESTQ     R13, R13
	JZ        next
	VMOVUPS.Z (R10), K1, Z0
	VMOVUPS.Z 64(R10), K2, Z1
	TOBF16
	VMOVUPS   Z2, K3, (R12)

next:
	ADDQ R8, SI
	ADDQ R9, DI
	DECQ BX
	JNZ  row
	VZEROUPPER
	RET

// func pairColumnsAVX512(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
//	for p, j {
//		dst[j/width·panel + p·width + j%width] = the pair of src[2p·srcRow + j] and the one below, or 0
//	}
// Requires at least one row and one column.
// dst: DI, its step R12, the panel R14, the place in it R10; from panel to panel: R9. src: SI,
// its step R8, the even row AX, the odd one DX. Rows left: R13; columns left: BX, in the panel
// CX. K1: columns over after whole 16; K2: ones, but zeros if there is no odd row; K3: both.
// The next two rows are fetched, since the hardware does not foresee rows that are far apart.
TEXT ·pairColumnsAVX512(SB), NOSPLIT, $0-88
	MOVQ    dst_base+0(FP), DI
	MOVQ    width+24(FP), R12
	MOVQ    panel+32(FP), R9
	MOVQ    src_base+40(FP), SI
	MOVQ    srcRow+64(FP), R8
	MOVQ    rows+72(FP), R13
	SHLQ    $2, R8
	SHLQ    $2, R9
	VMOVUPS ·pairOrder(SB), Z3
	KXNORW  K2, K2, K2

pair:
	MOVQ  cols+80(FP), BX
	MOVQ  SI, AX
	LEAQ  (SI)(R8*1), DX
	CMPQ  R13, $1
	JNE   both
	MOVQ  SI, DX
	KXORW K2, K2, K2

both:
	MOVQ  DI, R14
	MOVQ  R12, CX
	ANDQ  $15, CX
	LANES(CX, K1)
	KANDW K1, K2, K3

panel:
	MOVQ  R12, CX
	CMPQ  BX, CX
	JGE   whole
	MOVQ  BX, CX
	ANDQ  $15, CX
	LANES(CX, K1)
	KANDW K1, K2, K3
	MOVQ  BX, CX

whole:
	SUBQ CX, BX
	MOVQ R14, R10
	SUBQ $16, CX
	JLT  tail

sixteen:
	PREFETCHT0 (AX)(R8*2)
	PREFETCHT0 (DX)(R8*2)
	VMOVUPS    (AX), Z0
	VMOVUPS.Z  (DX), K2, Z1
	TOBF16
	VPERMW     Z2, Z3, Z2
	VMOVUPS    Z2, (R10)
	ADDQ       $64, AX
	ADDQ       $64, DX
	ADDQ       $64, R10
	SUBQ       $16, CX
	JGE        sixteen

tail:
	ADDQ       $16, CX
	JZ         next
	PREFETCHT0 (AX)(R8*2)
	PREFETCHT0 (DX)(R8*2)
	VMOVUPS.Z  (AX), K1, Z0
	VMOVUPS.Z  (DX), K3, Z1
	TOBF16
	VPERMW     Z2, Z3, Z2
	VMOVUPS    Z2, K1, (R10)
	LEAQ       (AX)(CX*4), AX
	LEAQ       (DX)(CX*4), DX

next:
	ADDQ  R9, R14
	TESTQ BX, BX
	JNZ   panel

	LEAQ (SI)(R8*2), SI
	LEAQ (DI)(R12*4), DI
	SUBQ $2, R13
	JGT  pair
	VZEROUPPER
	RET
