//! Logits against the plain float64 model, on every kernel and type of weights.

use super::*;

#[test]
fn logits_are_the_plain_models() {
    for (i, shape) in shapes().iter().enumerate() {
        let tokens = prompt(3, 70);
        let expected = naive::logits(&model(shape), &tokens);
        let spread = expected.iter().flatten().fold(0f64, |a, b| a.max(b.abs()));
        for (precision, kernel) in precisions() {
            let found = engine(shape, precision, Some(kernel), 2).logits(&tokens, &mut Silent).unwrap();
            let worst = found
                .iter()
                .zip(expected.iter().flatten())
                .fold(0f64, |worst, (&a, &b)| worst.max((f64::from(a) - b).abs()));
            let allowed = if precision == Precision::Float32 { 2e-5 } else { 6e-2 };
            assert!(worst < allowed * spread, "shape {i}, {kernel:?}: {worst} of {spread}");
        }
    }
}

/// Every type that is not in `shapes`; rows of 256, since some have blocks of as many.
fn grids() -> impl Iterator<Item = Shape> {
    DType::ALL.into_iter().skip(6).map(|dtype| Shape {
        dtype,
        layers: 1,
        width: 256,
        heads: 8,
        kv_heads: 1,
        head_dim: 32,
        hidden: 256,
        vocab: 40,
        ..Shape::default()
    })
}

#[test]
fn logits_of_quantised_types_are_the_plain_models() {
    for shape in grids() {
        let tokens = &prompt(3, 11).iter().map(|t| t % 40).collect::<Vec<_>>()[..];
        let expected = naive::logits(&model(&shape), tokens);
        let spread = expected.iter().flatten().fold(0f64, |a, b| a.max(b.abs()));
        let mut bits = Vec::new();
        for (precision, kernel) in precisions() {
            let mut engine = engine(&shape, precision, Some(kernel), 2);
            let found = engine.logits(tokens, &mut Silent).unwrap();
            let worst = found.iter().zip(expected.iter().flatten());
            let worst = worst.fold(0f64, |worst, (&a, &b)| worst.max((f64::from(a) - b).abs()));
            let allowed = if precision == Precision::Float32 { 2e-5 } else { 6e-2 };
            assert!(worst < allowed * spread, "{:?}, {kernel:?}: {worst} of {spread}", shape.dtype);
            if precision == Precision::Float32 {
                bits.push(found.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            }
            // One row at a time takes the same way.
            let prompt = tokens[..4].to_vec();
            let drawn = draw(&mut engine, &Request { max_tokens: 3, ..request(vec![prompt.clone()], 5) });
            let alone = Request { max_tokens: 3, max_rows: Some(1), ..request(vec![prompt], 5) };
            assert_eq!(drawn, draw(&mut engine, &alone));
        }
        assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", shape.dtype);
    }
}

#[test]
fn float32_has_the_same_bits_on_every_kernel() {
    for shape in shapes() {
        let tokens = prompt(4, 37);
        let mut results = Kernel::available().into_iter().map(|kernel| {
            let mut engine = engine(&shape, Precision::Float32, Some(kernel), 1);
            let logits = engine.logits(&tokens, &mut Silent).unwrap();
            let drawn = draw(&mut engine, &request(vec![prompt(5, 11)], 5));
            (logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), drawn)
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
    }
}
