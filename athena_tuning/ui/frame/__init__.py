"""What all pages share: navigation, controls, notices and the components they are made of."""
