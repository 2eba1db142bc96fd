//go:build !purego

#include "textflag.h"

// What packs pairs for VDPBF16PS (kernels_bf16.go; the tile is in kernels_amd64.s).

// TOBF16 rounds Z0 to the lower half of Z2 and Z1 to the upper half, as roundBF16 does. Go's
// assembler does not know it: it is VCVTNE2PS2BF16 Z0, Z1, Z2.
#define TOBF16                        \
	BYTE $0x62; BYTE $0xF2; BYTE $0x77 \
	BYTE $0x48; BYTE $0x72; BYTE $0xD0

// LANES makes k a mask of the lower n bits, up to 63; n is CX. It uses R11.
#define LANES(n, kmov, k)             \
	MOVL $1, R11                      \
	SHLQ n, R11                       \
	DECQ R11                          \
	kmov R11, k

// func pairRowAVX512(dst, x []float32)
//	for i { half i of dst, which are bfloat16, = roundBF16(x[i]) }; make the last pair whole
// dst: DI; x: SI; floats left: CX.
TEXT ·pairRowAVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	MOVQ x_len+32(FP), CX
	SUBQ $32, CX
	JLT  tail

loop:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	TOBF16
	VMOVUPS Z2, (DI)
	ADDQ    $128, SI
	ADDQ    $64, DI
	SUBQ    $32, CX
	JGE     loop

tail:
	ADDQ      $32, CX
	JZ        done
	LANES(CX, KMOVW, K1)
	SHRQ      $16, R11
	KMOVW     R11, K2
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	TOBF16
	INCQ      CX
	SHRQ      $1, CX
	LANES(CX, KMOVW, K3)
	VMOVUPS   Z2, K3, (DI)

done:
	VZEROUPPER
	RET

// func pairColumnsAVX512(dst []float32, width, panel int, even, odd []float32)
//	for j { dst[j/width·panel + j%width] = the pair of even[j] and odd[j] }
// Panel of dst: DI, its place R10; from panel to panel: R9; even: SI; odd: DX; R8: what
// lies so far below even as odd does, twice, is fetched, since it comes soon. Columns left:
// BX, in the panel CX.
TEXT ·pairColumnsAVX512(SB), NOSPLIT, $0-88
	MOVQ    dst_base+0(FP), DI
	MOVQ    panel+32(FP), R9
	MOVQ    even_base+40(FP), SI
	MOVQ    even_len+48(FP), BX
	MOVQ    odd_base+64(FP), DX
	SHLQ    $2, R9
	MOVQ    DX, R8
	SUBQ    SI, R8
	ADDQ    R8, R8
	VMOVUPS ·pairOrder(SB), Z3

panel:
	MOVQ    width+24(FP), CX
	CMPQ    BX, CX
	CMOVQLT BX, CX
	SUBQ    CX, BX
	MOVQ    DI, R10
	SUBQ    $16, CX
	JLT     tail

sixteen:
	PREFETCHT0 (SI)(R8*1)
	PREFETCHT0 (DX)(R8*1)
	VMOVUPS    (SI), Z0
	VMOVUPS    (DX), Z1
	TOBF16
	VPERMW     Z2, Z3, Z2
	VMOVUPS    Z2, (R10)
	ADDQ       $64, SI
	ADDQ       $64, DX
	ADDQ       $64, R10
	SUBQ       $16, CX
	JGE        sixteen

tail:
	ADDQ       $16, CX
	JZ         next
	LANES(CX, KMOVW, K1)
	PREFETCHT0 (SI)(R8*1)
	PREFETCHT0 (DX)(R8*1)
	VMOVUPS.Z  (SI), K1, Z0
	VMOVUPS.Z  (DX), K1, Z1
	TOBF16
	VPERMW     Z2, Z3, Z2
	VMOVUPS    Z2, K1, (R10)
	LEAQ       (SI)(CX*4), SI
	LEAQ       (DX)(CX*4), DX

next:
	ADDQ  R9, DI
	TESTQ BX, BX
	JNZ   panel
	VZEROUPPER
	RET
